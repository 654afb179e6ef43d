package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.SessionGatewayException;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * Keeps any number of sessions alive over one stream, opened again whenever it breaks. Nothing runs
 * while there is no session.
 *
 * <p>All of its state belongs to the timer's thread, on which the sinks are called, too.
 */
final class Renewer {
  /** After these, the same stream opened again would fail in the same way. */
  static final Set<Status.Code> FINAL =
      Set.copyOf(
          EnumSet.of(
              Status.Code.INVALID_ARGUMENT,
              Status.Code.NOT_FOUND,
              Status.Code.FAILED_PRECONDITION,
              Status.Code.PERMISSION_DENIED,
              Status.Code.UNAUTHENTICATED,
              Status.Code.UNIMPLEMENTED));

  private static final Logger LOG = Logger.getLogger("com.sessiongateway.client");

  private final Transport transport;
  private final Pacing pacing;
  private final Timer timer;
  private final Map<String, Renewed> live = new LinkedHashMap<>();
  private @Nullable Conversation conversation;
  private Timer.@Nullable Cancellation plan;
  private Timer.@Nullable Cancellation reopening;
  private int attempt;
  private boolean isClosed;

  Renewer(Transport transport, Pacing pacing) {
    this.transport = transport;
    this.pacing = pacing;
    this.timer = pacing.timer();
  }

  /**
   * Renews a session from now on, at once for the first time. Its timeout may be unknown before the
   * first answer.
   */
  void add(String sessionId, Sink sink, @Nullable Duration timeout) {
    timer.execute(
        () -> {
          if (isClosed) {
            return;
          }
          Renewed renewed = live.computeIfAbsent(sessionId, id -> new Renewed());
          renewed.sinks.add(sink);
          if (timeout != null) {
            renewed.timeout = timeout;
          }
          if (conversation != null) {
            conversation.ask(List.of(sessionId));
            plan();
          } else if (reopening == null) {
            converse();
          }
        });
  }

  /** Tells a sink nothing more, and renews its session no longer unless others have it, too. */
  void discard(String sessionId, Sink sink) {
    timer.execute(
        () -> {
          Renewed renewed = live.get(sessionId);
          if (renewed != null && renewed.sinks.remove(sink) && renewed.sinks.isEmpty()) {
            forget(sessionId);
            plan();
          }
        });
  }

  /** Renews nothing any more, and closes the stream. May be called twice. */
  void close() {
    timer.execute(
        () -> {
          isClosed = true;
          live.clear();
          plan();
        });
  }

  private void converse() {
    reopening = null;
    if (live.isEmpty() || transport.isClosed()) {
      return;
    }
    Conversation begun = new Conversation(transport, timer, this::take, this::broken);
    conversation = begun;
    begun.start();
    askAll(begun);
    plan();
  }

  private void askAll(Conversation current) {
    current.isSentAt(timer.nanoTime(), 1 - 0.2 * pacing.random().getAsDouble());
    current.ask(new ArrayList<>(live.keySet()));
  }

  /** Sees to it that something happens when it is due. */
  private void plan() {
    if (plan != null) {
      plan.cancel();
      plan = null;
    }
    if (conversation != null && live.isEmpty()) {
      conversation.cancel();
      conversation = null;
    }
    if (conversation != null) {
      long now = timer.nanoTime();
      long wait = Math.min(renewalDue(conversation), overdue(conversation)) - now;
      plan = timer.schedule(Duration.ofNanos(Math.max(0, wait)), this::wake);
    }
  }

  private void wake() {
    Conversation current = conversation;
    if (current == null) {
      return;
    }
    long now = timer.nanoTime();
    if (overdue(current) - now <= 0) {
      broken(current, Errors.transport(Status.Code.UNAVAILABLE, "no answer in time", null));
      return;
    }
    if (renewalDue(current) - now <= 0) {
      askAll(current);
    }
    plan();
  }

  private long renewalDue(Conversation current) {
    Duration shortest =
        live.values().stream()
            .map(renewed -> renewed.timeout)
            .filter(timeout -> timeout != null && !timeout.isZero() && !timeout.isNegative())
            .min(Duration::compareTo)
            // Nothing is known only if a gateway answered without a session: try again after a
            // while.
            .orElse(null);
    return shortest == null
        ? current.sentAt() + pacing.replyTimeout().toNanos()
        : current.sentAt() + (long) (current.spread() * shortest.toNanos() / 3);
  }

  private long overdue(Conversation current) {
    Long oldest = current.oldestUnanswered();
    // Far, but not so far that differences overflow.
    return oldest == null
        ? timer.nanoTime() + Long.MAX_VALUE / 4
        : oldest + pacing.replyTimeout().toNanos();
  }

  private void take(Conversation from, String sessionId, KeepaliveEvent event) {
    Renewed renewed = live.get(sessionId);
    if (from != conversation || renewed == null) {
      return;
    }
    if (event.error() != null) {
      forget(sessionId);
    } else if (event.session() != null) {
      renewed.timeout = event.session().sessionTimeout();
    }
    renewed.tell(event);
    plan();
  }

  private void broken(Conversation from, SessionGatewayException failure) {
    if (from != conversation) {
      return;
    }
    LOG.log(Level.FINE, "keepalive stream", failure);
    from.cancel();
    conversation = null;
    if (FINAL.contains(failure.grpcStatus()) || transport.isClosed()) {
      Map<String, Renewed> all = new HashMap<>(live);
      live.clear();
      all.forEach((id, renewed) -> renewed.tell(new KeepaliveEvent(id, null, failure)));
    }
    plan();
    if (!live.isEmpty()) {
      attempt = from.isAnswered() ? 0 : attempt + 1;
      Duration pause = pacing.reconnect().delay(attempt, pacing.random().getAsDouble());
      Duration asked = failure.retryAfter();
      reopening =
          timer.schedule(
              asked != null && asked.compareTo(pause) > 0 ? asked : pause, this::converse);
    }
  }

  private void forget(String sessionId) {
    live.remove(sessionId);
    if (conversation != null) {
      conversation.forget(sessionId);
    }
  }

  /** Hears every renewal of a session, and once that it is lost. Must not block. */
  @FunctionalInterface
  interface Sink {
    void hear(KeepaliveEvent event);
  }

  private static final class Renewed {
    private final Set<Sink> sinks = new LinkedHashSet<>();
    private @Nullable Duration timeout;

    void tell(KeepaliveEvent event) {
      for (Sink sink : List.copyOf(sinks)) {
        try {
          sink.hear(event);
        } catch (RuntimeException failure) {
          // The other sessions' renewals must go on.
          LOG.log(Level.SEVERE, "who renews the session " + event.sessionId() + " failed", failure);
        }
      }
    }
  }
}
