package com.sessiongateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sessiongateway.client.errors.CancelledException;
import com.sessiongateway.client.errors.UnavailableException;
import com.sessiongateway.v1.ErrorCode;
import com.sessiongateway.v1.RunState;
import com.sessiongateway.v1.SessionEvent;
import com.sessiongateway.v1.WatchSessionsRequest;
import com.sessiongateway.v1.WatchSessionsResponse;
import io.grpc.Status;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class WatchStreamTest {
  private FakeGateway gateway;
  private WatchStream watch;

  @BeforeEach
  void start() throws IOException {
    gateway = new FakeGateway();
    watch =
        new WatchStream(
            gateway.transport,
            gateway.pacing,
            new WatchOptions().resumeToken("before"),
            closed -> {});
  }

  @AfterEach
  void stop() {
    watch.close();
    gateway.close();
  }

  @Test
  void aWatchThatBreaksGoesOnBehindTheLastEvent() throws Exception {
    CompletableFuture<Void> standing = CompletableFuture.runAsync(watch::awaitStanding);
    var first = gateway.watches.take();
    assertEquals("before", first.request().getResumeToken());
    first.answers().onNext(message(SessionEvent.SESSION_EVENT_WATCHING, "at-0"));
    standing.get();
    first.answers().onNext(message(SessionEvent.SESSION_EVENT_CREATED, "at-1"));
    assertEquals(WatchEvent.Kind.CREATED, watch.next().kind());
    assertEquals("at-1", watch.resumeToken());

    CompletableFuture<WatchEvent> next = CompletableFuture.supplyAsync(watch::next);
    first.answers().onError(Status.UNAVAILABLE.asRuntimeException());
    var second = reopened(Duration.ofMillis(100));
    assertEquals("at-1", second.request().getResumeToken());
    second.answers().onCompleted();
    var third = reopened(Duration.ofMillis(200));
    third.answers().onNext(message(SessionEvent.SESSION_EVENT_WATCHING, "at-2"));
    third.answers().onNext(unknown("at-3"));
    WatchEvent event = next.get();
    assertEquals(WatchEvent.Kind.UNRECOGNIZED, event.kind());
    assertEquals("unknown_42", event.kindName());
    assertEquals("at-3", watch.resumeToken());
  }

  @Test
  void aWatchThatCannotBeOpenedSaysSo() throws Exception {
    CompletableFuture<UnavailableException> standing =
        CompletableFuture.supplyAsync(
            () -> assertThrows(UnavailableException.class, watch::awaitStanding));
    gateway.watches.take().answers().onError(Status.UNAVAILABLE.asRuntimeException());
    standing.get();
  }

  @Test
  void aWatchThatIsClosedWhileItWaitsToBeOpenedIsNotOpened() throws Exception {
    CompletableFuture<Boolean> interrupted =
        CompletableFuture.supplyAsync(
            () -> {
              Thread.currentThread().interrupt();
              assertThrows(CancelledException.class, watch::awaitStanding);
              return Thread.interrupted();
            });
    gateway
        .watches
        .take()
        .answers()
        .onError(
            FakeGateway.error(
                Status.UNAVAILABLE,
                ErrorCode.ERROR_CODE_GATEWAY_DRAINING,
                RunState.RUN_STATE_UNSPECIFIED));
    assertTrue(interrupted.get());
    gateway.timer.awaitPlan(Duration.ofMillis(100)::equals);
    watch.close();
    gateway.timer.awaitIdle();
    assertTrue(gateway.watches.isEmpty());
  }

  @Test
  void aWatchThatIsClosedOpensNoStream() {
    watch.close();
    assertThrows(CancelledException.class, watch::awaitStanding);
    assertTrue(gateway.watches.isEmpty());
  }

  @Test
  void silenceCountsAsBroken() throws Exception {
    CompletableFuture<Void> standing = CompletableFuture.runAsync(watch::awaitStanding);
    gateway.watches.take().answers().onNext(message(SessionEvent.SESSION_EVENT_WATCHING, "at-0"));
    standing.get();
    gateway.timer.awaitPlan(gateway.pacing.watchTimeout()::equals);
    gateway.timer.advance(gateway.pacing.watchTimeout());
    assertEquals("at-0", reopened(Duration.ofMillis(100)).request().getResumeToken());
  }

  @Test
  void aStepThatIsInterruptedOrOutOfTimeLosesNothing() throws Exception {
    assertNull(watch.poll(Duration.ZERO));
    Thread.currentThread().interrupt();
    assertThrows(CancelledException.class, watch::next);
    assertEquals(true, Thread.interrupted());
    gateway.watches.take().answers().onNext(message(SessionEvent.SESSION_EVENT_ENDED, "at-1"));
    assertEquals(WatchEvent.Kind.ENDED, watch.next().kind());
  }

  @Test
  void closingEndsAnIterationThatWaits() throws Exception {
    CompletableFuture<Boolean> waiting = CompletableFuture.supplyAsync(watch::hasNext);
    gateway.watches.take();
    watch.close();
    assertFalse(waiting.get());
  }

  private FakeGateway.Asked<WatchSessionsRequest, WatchSessionsResponse> reopened(Duration wait)
      throws InterruptedException {
    gateway.timer.awaitPlan(wait::equals);
    gateway.timer.advance(wait);
    return gateway.watches.take();
  }

  private static WatchSessionsResponse message(SessionEvent event, String token) {
    return WatchSessionsResponse.newBuilder().setEvent(event).setResumeToken(token).build();
  }

  private static WatchSessionsResponse unknown(String token) {
    return WatchSessionsResponse.newBuilder().setEventValue(42).setResumeToken(token).build();
  }
}
