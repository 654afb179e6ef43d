package com.sessiongateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sessiongateway.client.errors.InvalidRequestException;
import com.sessiongateway.client.errors.SessionEndedException;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.v1.ErrorCode;
import com.sessiongateway.v1.ErrorDetail;
import com.sessiongateway.v1.Session;
import com.sessiongateway.v1.StreamKeepaliveRequest;
import com.sessiongateway.v1.StreamKeepaliveResponse;
import io.grpc.Status;
import java.io.IOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class RenewerTest {
  private final BlockingQueue<KeepaliveEvent> events = new LinkedBlockingQueue<>();
  private FakeGateway gateway;
  private Renewer renewer;

  @BeforeEach
  void start() throws IOException {
    gateway = new FakeGateway();
    renewer = new Renewer(gateway.transport, gateway.pacing);
  }

  @AfterEach
  void stop() {
    renewer.close();
    gateway.close();
  }

  @Test
  void sessionsAreRenewedAtAThirdOfTheShortestTimeoutLessAFifthAtMost() throws Exception {
    renewer.add("long", events::add, null);
    answer(take(), 60);
    renewer.add("short", events::add, Duration.ofSeconds(30));
    answer(take(), 30);
    events.take();
    events.take();
    // The dice of the fake pacing take away all that may be taken.
    Duration due = Duration.ofSeconds(8);
    gateway.timer.awaitPlan(due::equals);
    gateway.timer.advance(due);
    FakeGateway.Asked<StreamKeepaliveRequest, StreamKeepaliveResponse> all = take();
    assertEquals(Set.of("long", "short"), new HashSet<>(all.request().getSessionIdsList()));
  }

  @Test
  void allSessionsShareOneStream() throws Exception {
    renewer.add("a", events::add, null);
    var first = take();
    renewer.add("b", events::add, null);
    assertSame(first.answers(), take().answers());
  }

  @Test
  void aSessionThatIsLostIsToldWithItsReasonAndRenewedNoMore() throws Exception {
    renewer.add("bad", events::add, Duration.ofSeconds(60));
    var asked = take();
    renewer.add("good", events::add, Duration.ofSeconds(60));
    answer(take(), 60);
    events.take();
    asked
        .answers()
        .onNext(
            StreamKeepaliveResponse.newBuilder()
                .setSessionId("bad")
                .setError(ErrorDetail.newBuilder().setCode(ErrorCode.ERROR_CODE_SESSION_ENDED))
                .build());
    assertInstanceOf(SessionEndedException.class, events.take().error());
    gateway.timer.awaitPlan(Duration.ofSeconds(16)::equals);
    gateway.timer.advance(Duration.ofSeconds(16));
    assertEquals(List.of("good"), take().request().getSessionIdsList());
  }

  @Test
  void whileTheStoreIsUnavailableNoSessionIsLostAndAllAreAskedAboutAgain() throws Exception {
    renewer.add("a", events::add, Duration.ofSeconds(60));
    renewer.add("b", events::add, Duration.ofSeconds(60));
    answer(take(), 60);
    assertEquals("a", events.take().sessionId());
    take()
        .answers()
        .onNext(
            error(
                "b",
                ErrorDetail.newBuilder()
                    .setCode(ErrorCode.ERROR_CODE_STORE_UNAVAILABLE)
                    .setRetryAfter(
                        com.google.protobuf.Duration.newBuilder().setSeconds(7).build())));
    // As long as the gateway asks for.
    gateway.timer.awaitPlan(Duration.ofSeconds(7)::equals);
    gateway.timer.advance(Duration.ofSeconds(7));
    var again = take();
    assertEquals(Set.of("a", "b"), new HashSet<>(again.request().getSessionIdsList()));
    answer(again, 60);
    assertNotNull(events.take().session());
    assertNotNull(events.take().session());
  }

  @Test
  void aSessionTooManyIsRefusedAndTheOthersAreRenewed() throws Exception {
    for (int number = 0; number < Renewer.MAX_SESSIONS; number++) {
      renewer.add("s" + number, event -> {}, null);
    }
    renewer.add("another", events::add, null);
    KeepaliveEvent event = events.take();
    assertEquals("another", event.sessionId());
    assertInstanceOf(InvalidRequestException.class, event.error());
    renewer.add("s0", events::add, null);
    for (int number = 0; number < Renewer.MAX_SESSIONS; number++) {
      assertEquals(List.of("s" + number), take().request().getSessionIdsList());
    }
    answer(take(), 60);
    assertNotNull(events.take().session());
  }

  @Test
  void aStreamThatIsFullOfSessionsLeftBehindIsReplaced() throws Exception {
    Renewer.Sink left = event -> {};
    renewer.add("kept", events::add, null);
    var first = take();
    for (int number = 1; number < Renewer.MAX_SESSIONS; number++) {
      renewer.add("s" + number, left, null);
      take();
    }
    renewer.discard("s1", left);
    renewer.add("another", events::add, null);
    first.isLeft().get();
    Set<String> asked = new HashSet<>();
    while (asked.size() < Renewer.MAX_SESSIONS) {
      asked.addAll(take().request().getSessionIdsList());
    }
    assertTrue(asked.contains("kept") && asked.contains("another") && !asked.contains("s1"));
  }

  @Test
  void theShortestTimeoutCountsForAsLongAsItsSessionIsRenewed() throws Exception {
    Renewer.Sink sink = events::add;
    renewer.add("long", sink, Duration.ofSeconds(60));
    answer(take(), 60);
    renewer.add("short", sink, Duration.ofSeconds(30));
    answer(take(), 30);
    gateway.timer.awaitPlan(Duration.ofSeconds(8)::equals);
    renewer.discard("short", sink);
    gateway.timer.awaitPlan(Duration.ofSeconds(16)::equals);
  }

  @Test
  void aStreamThatIsClosedTellsNothingMore() throws Exception {
    KeepaliveStream stream = new KeepaliveStream(renewer, List.of("a"), closed -> {});
    stream.start();
    answer(take(), 60);
    assertTrue(stream.hasNext());
    stream.close();
    assertFalse(stream.hasNext());
    assertTrue(stream.isOver());
  }

  @Test
  void aStreamThatBreaksIsOpenedAgain() throws Exception {
    renewer.add("a", events::add, null);
    var first = take();
    first.answers().onError(Status.UNAVAILABLE.asRuntimeException());
    // Unlike after an answer, the wait has grown: 100 ms twice.
    gateway.timer.awaitPlan(Duration.ofMillis(200)::equals);
    gateway.timer.advance(Duration.ofMillis(200));
    var second = take();
    assertNotSame(first.answers(), second.answers());
    answer(second, 60);
    assertEquals("a", events.take().sessionId());
  }

  @Test
  void aStreamWithoutAnswersCountsAsBroken() throws Exception {
    renewer.add("a", events::add, Duration.ofHours(1));
    take();
    gateway.timer.awaitPlan(gateway.pacing.replyTimeout()::equals);
    gateway.timer.advance(gateway.pacing.replyTimeout());
    gateway.timer.awaitPlan(Duration.ofMillis(200)::equals);
    gateway.timer.advance(Duration.ofMillis(200));
    assertEquals(List.of("a"), take().request().getSessionIdsList());
  }

  @Test
  void aStreamThatIsRefusedForGoodLosesAllSessions() throws Exception {
    renewer.add("a", events::add, null);
    take().answers().onError(Status.UNAUTHENTICATED.asRuntimeException());
    SessionGatewayException error = events.take().error();
    assertEquals("UNAUTHENTICATED", error == null ? null : error.code());
  }

  @Test
  void whoReadsSlowlySeesTheNewestOfEachSessionAndEveryLoss() throws Exception {
    try (KeepaliveStream stream = new KeepaliveStream(renewer, List.of("a"), closed -> {})) {
      stream.start();
      var asked = take();
      answer(asked, 60);
      assertTrue(stream.hasNext());
      renewer.add("a", events::add, null);
      answer(take(), 61);
      events.take();
      asked
          .answers()
          .onNext(
              StreamKeepaliveResponse.newBuilder()
                  .setSessionId("a")
                  .setError(ErrorDetail.newBuilder().setCode(ErrorCode.ERROR_CODE_SESSION_ENDED))
                  .build());
      events.take();
      assertInstanceOf(SessionEndedException.class, stream.next().error());
      assertFalse(stream.hasNext());
      assertTrue(stream.isOver());
    }
  }

  private static StreamKeepaliveResponse error(String sessionId, ErrorDetail.Builder detail) {
    return StreamKeepaliveResponse.newBuilder().setSessionId(sessionId).setError(detail).build();
  }

  private FakeGateway.Asked<StreamKeepaliveRequest, StreamKeepaliveResponse> take()
      throws InterruptedException {
    return gateway.renewals.take();
  }

  private static void answer(
      FakeGateway.Asked<StreamKeepaliveRequest, StreamKeepaliveResponse> asked, int timeout) {
    for (String id : asked.request().getSessionIdsList()) {
      asked
          .answers()
          .onNext(
              StreamKeepaliveResponse.newBuilder()
                  .setSessionId(id)
                  .setSession(Session.newBuilder().setId(id).setSessionTimeout(timeout))
                  .build());
    }
  }
}
