package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.StoreUnavailableException;
import com.sessiongateway.v1.ErrorCode;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
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
  private static final Set<Status.Code> FINAL =
      Set.copyOf(
          EnumSet.of(
              Status.Code.INVALID_ARGUMENT,
              Status.Code.NOT_FOUND,
              Status.Code.FAILED_PRECONDITION,
              Status.Code.PERMISSION_DENIED,
              Status.Code.UNAUTHENTICATED,
              Status.Code.UNIMPLEMENTED));

  /** As many as a gateway takes on one stream; some end it for all of them at one more. */
  static final int MAX_SESSIONS = 10_000;

  private static final Logger LOG = Logger.getLogger("com.sessiongateway.client");

  private final Transport transport;
  private final Pacing pacing;
  private final Timer timer;
  private final Map<String, Renewed> live = new LinkedHashMap<>();

  // How many sessions have each timeout, the shortest first: each answer needs that one.
  private final NavigableMap<Duration, Integer> timeouts = new TreeMap<>();
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

  /** Returns whether a stream that is opened again would fail in the same way. */
  static boolean isFinal(SessionGatewayException failure) {
    // An error that came in the middle of a stream has no status.
    return failure.grpcStatus() != null && FINAL.contains(failure.grpcStatus());
  }

  /**
   * Renews a session from now on, at once for the first time. Its timeout may be unknown before the
   * first answer. A session too many is told as lost.
   */
  void add(String sessionId, Sink sink, @Nullable Duration timeout) {
    timer.execute(
        () -> {
          if (isClosed) {
            return;
          }
          if (live.size() >= MAX_SESSIONS && !live.containsKey(sessionId)) {
            sink.hear(new KeepaliveEvent(sessionId, null, tooMany()));
            return;
          }
          Renewed renewed = live.computeIfAbsent(sessionId, id -> new Renewed());
          renewed.sinks.add(sink);
          if (timeout != null) {
            setTimeout(renewed, timeout);
          }
          renewNow(sessionId);
        });
  }

  private void renewNow(String sessionId) {
    if (conversation != null && !conversation.hasRoomFor(sessionId, MAX_SESSIONS)) {
      // Those that are renewed no longer stay on the stream until they end.
      conversation.cancel();
      conversation = null;
    }
    if (conversation != null) {
      conversation.ask(List.of(sessionId));
      plan();
    } else if (reopening == null) {
      converse();
    }
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
          forgetAll();
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
    // Nothing is known only if a gateway answered without a session: try again after a while.
    return timeouts.isEmpty()
        ? current.sentAt() + pacing.replyTimeout().toNanos()
        : current.sentAt() + (long) (current.spread() * timeouts.firstKey().toNanos() / 3);
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
    if (event.error() instanceof StoreUnavailableException unavailable) {
      // No session is lost, and none can be renewed: all are asked about again after a while.
      broken(from, unavailable);
      return;
    }
    if (event.error() != null) {
      forget(sessionId);
    } else if (event.session() != null) {
      setTimeout(renewed, event.session().sessionTimeout());
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
    if (isFinal(failure) || transport.isClosed()) {
      Map<String, Renewed> all = new HashMap<>(live);
      forgetAll();
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
    Renewed renewed = live.remove(sessionId);
    if (renewed != null) {
      setTimeout(renewed, null);
    }
    if (conversation != null) {
      conversation.forget(sessionId);
    }
  }

  private void forgetAll() {
    live.clear();
    timeouts.clear();
  }

  private void setTimeout(Renewed renewed, @Nullable Duration timeout) {
    if (renewed.timeout != null) {
      timeouts.computeIfPresent(renewed.timeout, (key, count) -> count == 1 ? null : count - 1);
    }
    boolean isKnown = timeout != null && !timeout.isZero() && !timeout.isNegative();
    renewed.timeout = isKnown ? timeout : null;
    if (isKnown) {
      timeouts.merge(timeout, 1, Integer::sum);
    }
  }

  private static SessionGatewayException tooMany() {
    return Errors.local(
        ErrorCode.ERROR_CODE_INVALID_REQUEST,
        "a client keeps alive " + MAX_SESSIONS + " sessions at most");
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
