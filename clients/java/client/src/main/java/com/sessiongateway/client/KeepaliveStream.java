package com.sessiongateway.client;

import java.time.Duration;
import java.util.Collection;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Renews sessions until it is closed, and iterates over what happens to them.
 *
 * <p>Who iterates more slowly than the sessions are renewed sees only the newest renewal of each; a
 * loss is never skipped. Iterating ends when all sessions are lost or the stream is closed.
 * Interrupting a step loses nothing. May be used by several threads.
 */
public final class KeepaliveStream implements Iterator<KeepaliveEvent>, AutoCloseable {
  private final Renewer renewer;
  private final Consumer<KeepaliveStream> onClose;
  private final Renewer.Sink sink = this::put;
  private final Set<String> live;
  private final Map<String, KeepaliveEvent> events = new LinkedHashMap<>();

  KeepaliveStream(
      Renewer renewer, Collection<String> sessionIds, Consumer<KeepaliveStream> onClose) {
    this.renewer = renewer;
    this.onClose = onClose;
    this.live = new HashSet<>(sessionIds);
  }

  void start() {
    Set<String> wanted;
    synchronized (this) {
      wanted = Set.copyOf(live);
    }
    for (String sessionId : wanted) {
      renewer.add(sessionId, sink, null);
    }
  }

  /**
   * Waits for the next event and tells whether there is one.
   *
   * @throws com.sessiongateway.client.errors.CancelledException this thread was interrupted
   */
  @Override
  public synchronized boolean hasNext() {
    waitForEvent(null);
    return !events.isEmpty();
  }

  /**
   * Waits for the next event and returns it.
   *
   * @throws NoSuchElementException all sessions are lost, or the stream is closed
   * @throws com.sessiongateway.client.errors.CancelledException this thread was interrupted
   */
  @Override
  public synchronized KeepaliveEvent next() {
    waitForEvent(null);
    KeepaliveEvent event = take();
    if (event == null) {
      throw new NoSuchElementException("no session is left to renew");
    }
    return event;
  }

  /**
   * Waits for the next event for so long at most.
   *
   * @return null if none came in time, or none will come any more: see {@link #isOver()}
   * @throws com.sessiongateway.client.errors.CancelledException this thread was interrupted
   */
  public synchronized @Nullable KeepaliveEvent poll(Duration timeout) {
    waitForEvent(timeout);
    return take();
  }

  /**
   * Returns whether no event will come any more: all sessions are lost and were told of, or the
   * stream is closed.
   */
  public synchronized boolean isOver() {
    return live.isEmpty() && events.isEmpty();
  }

  /** Stops renewing. May be called twice. */
  @Override
  public void close() {
    Set<String> left;
    synchronized (this) {
      left = Set.copyOf(live);
      live.clear();
      events.clear();
      notifyAll();
    }
    left.forEach(sessionId -> renewer.discard(sessionId, sink));
    onClose.accept(this);
  }

  private synchronized void put(KeepaliveEvent event) {
    if (!live.contains(event.sessionId())) {
      return;
    }
    // Taken out first, so that it goes to the end: no session's news can keep back those of
    // another.
    events.remove(event.sessionId());
    events.put(event.sessionId(), event);
    if (event.error() != null) {
      live.remove(event.sessionId());
    }
    notifyAll();
  }

  private @Nullable KeepaliveEvent take() {
    Iterator<KeepaliveEvent> first = events.values().iterator();
    if (!first.hasNext()) {
      return null;
    }
    KeepaliveEvent event = first.next();
    first.remove();
    return event;
  }

  private void waitForEvent(@Nullable Duration timeout) {
    long begin = System.nanoTime();
    try {
      while (events.isEmpty() && !live.isEmpty()) {
        if (timeout == null) {
          wait();
          continue;
        }
        long left = timeout.toNanos() - (System.nanoTime() - begin);
        if (left <= 0) {
          return;
        }
        // Rounded up: a wait of 0 would have no end.
        wait(left / 1_000_000 + 1);
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw Operation.cancelled("the thread was interrupted while it waited", null);
    }
  }
}
