package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.v1.SessionServiceGrpc;
import com.sessiongateway.v1.StreamKeepaliveRequest;
import com.sessiongateway.v1.StreamKeepaliveResponse;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * One keepalive stream, from its opening to its end. Used on the timer's thread, as its listeners
 * are.
 */
final class Conversation {
  private static final int IDS_PER_MESSAGE = 1000;

  private final Transport transport;
  private final Timer timer;
  private final Listener onEvent;
  private final BiConsumer<Conversation, SessionGatewayException> onEnd;
  private final ClientCall<StreamKeepaliveRequest, StreamKeepaliveResponse> call;

  // When each session was first asked about without an answer yet; the oldest comes first.
  private final Map<String, Long> unanswered = new LinkedHashMap<>();
  // Those that the gateway has on this stream.
  private final Set<String> carried = new HashSet<>();
  private boolean isAnswered;
  private boolean isOver;
  private long sentAt;
  private double spread = 1;

  Conversation(
      Transport transport,
      Timer timer,
      Listener onEvent,
      BiConsumer<Conversation, SessionGatewayException> onEnd) {
    this.transport = transport;
    this.timer = timer;
    this.onEvent = onEvent;
    this.onEnd = onEnd;
    this.call = transport.call(SessionServiceGrpc.getStreamKeepaliveMethod());
  }

  void start() {
    call.start(new Answers(), new Metadata());
    call.request(1);
  }

  /** Asks to renew sessions. */
  void ask(List<String> sessionIds) {
    if (isOver) {
      return;
    }
    long now = timer.nanoTime();
    sessionIds.forEach(id -> unanswered.putIfAbsent(id, now));
    carried.addAll(sessionIds);
    for (int start = 0; start < sessionIds.size(); start += IDS_PER_MESSAGE) {
      List<String> batch =
          sessionIds.subList(start, Math.min(start + IDS_PER_MESSAGE, sessionIds.size()));
      call.sendMessage(StreamKeepaliveRequest.newBuilder().addAllSessionIds(batch).build());
    }
  }

  /** Returns whether the stream has the session, or can take on one more. */
  boolean hasRoomFor(String sessionId, int most) {
    return carried.size() < most || carried.contains(sessionId);
  }

  /**
   * Remembers when all sessions were asked about, and which part of the interval is to pass until
   * the next time.
   */
  void isSentAt(long moment, double spread) {
    this.sentAt = moment;
    this.spread = spread;
  }

  long sentAt() {
    return sentAt;
  }

  double spread() {
    return spread;
  }

  /** Returns whether anything has come back. */
  boolean isAnswered() {
    return isAnswered;
  }

  @Nullable Long oldestUnanswered() {
    return unanswered.isEmpty() ? null : unanswered.values().iterator().next();
  }

  void forget(String sessionId) {
    unanswered.remove(sessionId);
  }

  void cancel() {
    if (!isOver) {
      isOver = true;
      call.cancel("nothing is left to renew on this stream", null);
    }
  }

  private void take(StreamKeepaliveResponse response) {
    if (isOver) {
      return;
    }
    isAnswered = true;
    String id = response.getSessionId();
    unanswered.remove(id);
    switch (response.getOutcomeCase()) {
      case SESSION ->
          onEvent.take(
              this, id, new KeepaliveEvent(id, new SessionInfo(response.getSession()), null));
      case ERROR -> {
        carried.remove(id);
        onEvent.take(this, id, new KeepaliveEvent(id, null, Errors.from(response.getError())));
      }
      default -> {
        // Of a kind that only a newer gateway knows: an answer all the same.
      }
    }
    call.request(1);
  }

  private void end(Status status, Metadata trailers) {
    if (isOver) {
      return;
    }
    isOver = true;
    onEnd.accept(
        this,
        transport.failure(
            status.isOk()
                ? Status.UNAVAILABLE.withDescription("the gateway closed the stream")
                : status,
            trailers,
            null));
  }

  /** Hears what has become of a session. */
  @FunctionalInterface
  interface Listener {
    void take(Conversation from, String sessionId, KeepaliveEvent event);
  }

  /** Brings the answers from gRPC's threads to the timer's. */
  private final class Answers extends ClientCall.Listener<StreamKeepaliveResponse> {
    @Override
    public void onMessage(StreamKeepaliveResponse response) {
      timer.execute(() -> take(response));
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      timer.execute(() -> end(status, trailers));
    }
  }
}
