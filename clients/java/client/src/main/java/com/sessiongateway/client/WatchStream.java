package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.GatewayDrainingException;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.StoreUnavailableException;
import com.sessiongateway.v1.SessionServiceGrpc;
import com.sessiongateway.v1.WatchSessionsRequest;
import com.sessiongateway.v1.WatchSessionsResponse;
import io.grpc.Status;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Iterates over what happens to the caller's sessions, until it is closed.
 *
 * <p>When the connection breaks or the gateway stops, the watch is opened again behind the last
 * event that was read, as often as it takes: nothing is left out and nothing comes twice. Nothing
 * is read ahead but one event: whoever iterates slowly falls behind at the gateway, which keeps
 * events for as long as it keeps finished sessions. Interrupting a step loses no event. An error
 * ends a step, not the watch: iterating on tries again behind the same event.
 *
 * <p>May be used by several threads, whose steps follow one another; closing does not wait for a
 * step.
 */
public final class WatchStream implements Iterator<WatchEvent>, AutoCloseable {
  private final Transport transport;
  private final Pacing pacing;
  private final WatchOptions options;
  private final Consumer<WatchStream> onClose;
  private final CompletableFuture<Void> standing = new CompletableFuture<>();
  private final ReentrantLock stepping = new ReentrantLock();

  private volatile String token;
  private volatile boolean isClosed;
  private volatile @Nullable Operation<WatchEvent> step;
  private volatile @Nullable Reader<WatchSessionsResponse> reader;
  private final AtomicInteger attempt = new AtomicInteger();
  private @Nullable WatchEvent upcoming;

  WatchStream(
      Transport transport, Pacing pacing, WatchOptions options, Consumer<WatchStream> onClose) {
    this.transport = transport;
    this.pacing = pacing;
    this.options = options;
    this.onClose = onClose;
    this.token = options.resumeToken;
  }

  /**
   * Returns what continues behind the last event that was read; good after a restart of this
   * program, too.
   */
  public String resumeToken() {
    return token;
  }

  /**
   * Waits for the next event and tells whether there is one: there is, unless the watch is closed.
   *
   * @throws SessionGatewayException the watch cannot go on, or this thread was interrupted
   */
  @Override
  public boolean hasNext() {
    return look(null) != null;
  }

  /**
   * Waits for the next event and returns it.
   *
   * @throws NoSuchElementException the watch is closed
   * @throws SessionGatewayException the watch cannot go on, or this thread was interrupted
   */
  @Override
  public WatchEvent next() {
    WatchEvent event = take(null);
    if (event == null) {
      throw new NoSuchElementException("the watch is closed");
    }
    return event;
  }

  /**
   * Waits for the next event for so long at most.
   *
   * @return null if none came in time, or the watch is closed
   * @throws SessionGatewayException the watch cannot go on, or this thread was interrupted
   */
  public @Nullable WatchEvent poll(Duration timeout) {
    return take(timeout);
  }

  /** Watches no longer; an iteration that waits ends. May be called twice. */
  @Override
  public void close() {
    isClosed = true;
    onClose.accept(this);
    Operation<WatchEvent> waiting = step;
    if (waiting != null) {
      waiting.cancel(false);
    }
    drop();
  }

  /** Waits until the watch stands. If that throws, the watch is of no use and has to be closed. */
  void awaitStanding() {
    Operation<WatchEvent> first = begin();
    Operation.await(CompletableFuture.anyOf(standing, first), null);
  }

  private @Nullable WatchEvent take(@Nullable Duration timeout) {
    stepping.lock();
    try {
      WatchEvent event = look(timeout);
      if (event != null) {
        upcoming = null;
        token = event.resumeToken();
      }
      return event;
    } finally {
      stepping.unlock();
    }
  }

  private @Nullable WatchEvent look(@Nullable Duration timeout) {
    stepping.lock();
    try {
      if (upcoming == null && !isClosed) {
        upcoming = await(begin(), timeout);
      }
      return isClosed ? null : upcoming;
    } finally {
      stepping.unlock();
    }
  }

  private @Nullable WatchEvent await(Operation<WatchEvent> waiting, @Nullable Duration timeout) {
    try {
      WatchEvent event =
          timeout == null
              ? waiting.get()
              : waiting.get(Math.max(0, timeout.toNanos()), TimeUnit.NANOSECONDS);
      step = null;
      return event;
    } catch (TimeoutException quiet) {
      return null;
    } catch (CancellationException closed) {
      return null;
    } catch (InterruptedException interrupted) {
      // The step goes on, and the next look takes its event.
      Thread.currentThread().interrupt();
      throw Operation.cancelled("the thread was interrupted while it waited", null);
    } catch (ExecutionException failure) {
      step = null;
      throw Operation.thrownHere(failure.getCause());
    }
  }

  private Operation<WatchEvent> begin() {
    Operation<WatchEvent> current = step;
    if (current == null) {
      current = new Operation<>();
      step = current;
      read(current);
    }
    return current;
  }

  /** Reads the next event that is to be shown, over as many streams as it takes. */
  private void read(Operation<WatchEvent> event) {
    CompletableFuture<@Nullable WatchSessionsResponse> next;
    try {
      next = opened().next();
    } catch (RuntimeException refused) {
      event.completeExceptionally(refused);
      return;
    }
    if (isClosed) {
      // Whoever closed the watch may not have seen the stream that was opened meanwhile.
      drop();
      event.cancel(false);
      return;
    }
    Timer.Cancellation silence =
        pacing
            .timer()
            .schedule(
                pacing.watchTimeout(),
                () -> next.completeExceptionally(broken("no word from the gateway in time")));
    next.whenComplete((message, error) -> silence.cancel());
    event.after(
        next,
        (message, error) -> {
          if (error instanceof SessionGatewayException failure) {
            recover(event, failure);
          } else if (error != null) {
            event.completeExceptionally(error);
          } else if (message == null) {
            recover(event, broken("the gateway closed the stream"));
          } else {
            show(event, new WatchEvent(message));
          }
        });
  }

  private void show(Operation<WatchEvent> step, WatchEvent event) {
    attempt.set(0);
    if (event.kind() == WatchEvent.Kind.WATCHING && !options.showWatching) {
      // Nothing that was read is on its way to the caller at this moment: each step ends with one
      // event.
      token = event.resumeToken();
      standing.complete(null);
      read(step);
    } else {
      standing.complete(null);
      step.complete(event);
    }
  }

  /** Waits until the stream may be opened again, or fails when that is of no use. */
  private void recover(Operation<WatchEvent> event, SessionGatewayException failure) {
    drop();
    boolean toldToWait =
        failure instanceof GatewayDrainingException || failure instanceof StoreUnavailableException;
    boolean hopeful =
        standing.isDone() || (toldToWait && attempt.get() + 1 < pacing.drainAttempts());
    if (!hopeful || transport.isClosed() || Renewer.isFinal(failure)) {
      attempt.set(0);
      event.completeExceptionally(failure);
      return;
    }
    Duration pause =
        pacing.reconnect().delay(attempt.getAndIncrement(), pacing.random().getAsDouble());
    Duration asked = failure.retryAfter();
    CompletableFuture<Void> waited = new CompletableFuture<>();
    Timer.Cancellation timer =
        pacing
            .timer()
            .schedule(
                asked != null && asked.compareTo(pause) > 0 ? asked : pause,
                () -> waited.complete(null));
    waited.whenComplete((none, cancelled) -> timer.cancel());
    event.after(waited, (none, cancelled) -> read(event));
  }

  private Reader<WatchSessionsResponse> opened() {
    if (isClosed) {
      throw new CancellationException("the watch is closed");
    }
    Reader<WatchSessionsResponse> open = reader;
    if (open == null) {
      open =
          transport.open(
              SessionServiceGrpc.getWatchSessionsMethod(),
              WatchSessionsRequest.newBuilder().setResumeToken(token).setApp(options.app).build(),
              Budget.background(),
              false);
      reader = open;
    }
    return open;
  }

  private void drop() {
    Reader<WatchSessionsResponse> open = reader;
    reader = null;
    if (open != null) {
      open.cancel();
    }
  }

  private static SessionGatewayException broken(String message) {
    return Errors.transport(Status.Code.UNAVAILABLE, message, null);
  }
}
