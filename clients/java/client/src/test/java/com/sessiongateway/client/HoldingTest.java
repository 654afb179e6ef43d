package com.sessiongateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.sessiongateway.client.errors.CancelledException;
import com.sessiongateway.client.errors.SessionEndedException;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.v1.EndSessionRequest;
import com.sessiongateway.v1.EndSessionResponse;
import com.sessiongateway.v1.ErrorCode;
import com.sessiongateway.v1.ErrorDetail;
import com.sessiongateway.v1.RunRequest;
import com.sessiongateway.v1.RunResponse;
import com.sessiongateway.v1.RunStreamResponse;
import com.sessiongateway.v1.SessionStatus;
import com.sessiongateway.v1.StreamKeepaliveResponse;
import io.grpc.Context;
import io.grpc.Status;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class HoldingTest {
  private static final Duration MINUTE = Duration.ofMinutes(1);

  private FakeGateway gateway;
  private Session session;

  @BeforeEach
  void start() throws IOException {
    gateway = new FakeGateway();
    session = handle(false);
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  @Test
  void callsThatWaitForTheOpeningAreSentInTheirOrder() throws Exception {
    CompletableFuture<RunResult> opening = begin("open");
    List.of("a", "b", "c").forEach(this::begin);
    var first = gateway.runs.take();
    assertEquals("new", first.request().getSession());
    assertTrue(gateway.runs.isEmpty());
    answer(first);
    opening.get();
    for (String function : List.of("a", "b", "c")) {
      RunRequest sent = gateway.runs.take().request();
      assertEquals(function, sent.getFunction());
      assertEquals("sess_1", sent.getSession());
      assertEquals("kv@1", sent.getApp());
    }
  }

  @Test
  void ifTheFirstCallFailsTheNextIsTheFirst() throws Exception {
    CompletableFuture<RunResult> first = begin("a");
    begin("b");
    gateway.runs.take().answers().onError(Status.INTERNAL.asRuntimeException());
    assertThrows(ExecutionException.class, first::get);
    var second = gateway.runs.take();
    assertEquals("b", second.request().getFunction());
    assertEquals("new", second.request().getSession());
  }

  @Test
  void theDefaultFunctionIsCalledWithAnInput() throws Exception {
    CompletableFuture<RunResult> call =
        CompletableFuture.supplyAsync(() -> session.call(Map.of("x", 1)));
    var asked = gateway.runs.take();
    assertEquals("", asked.request().getFunction());
    assertEquals("{\"x\":1}", asked.request().getInputJson().toStringUtf8());
    answer(asked);
    assertEquals("sess_1", call.get().sessionId());
  }

  @Test
  void aSessionThatWasOpenedInTheMeantimeIsEndedWithItsHandleAndNotRenewed() throws Exception {
    session = handle(true);
    CompletableFuture<RunResult> opening = begin("open");
    var first = gateway.runs.take();
    assertNull(session.end());
    answer(first);
    opening.get();
    var asked = gateway.ends.take();
    assertEquals("sess_1", asked.request().getSessionId());
    ended(asked);
    assertEquals("sess_1", session.endAsync().get().id());
    assertTrue(gateway.renewals.isEmpty());
  }

  @Test
  void aThreadThatIsInterruptedEndsItsSessionAllTheSame() throws Exception {
    open();
    CompletableFuture<Boolean> left = new CompletableFuture<>();
    Thread leaving =
        new Thread(
            () -> {
              Thread.currentThread().interrupt();
              session.close();
              left.complete(Thread.interrupted());
            });
    leaving.start();
    var asked = gateway.ends.take();
    awaitWaiting(leaving);
    ended(asked);
    assertTrue(left.get());
  }

  @Test
  void aSessionIsEndedAlsoWhenTheContextIsOver() throws Exception {
    open();
    Context.CancellableContext context = Context.current().withCancellation();
    context.cancel(null);
    CompletableFuture<SessionInfo> end = context.call(session::endAsync);
    ended(gateway.ends.take());
    assertEquals("sess_1", end.get().id());
  }

  @Test
  void whoeverEndsASessionSharesOneRequestThatNobodyCanCancel() throws Exception {
    open();
    CompletableFuture<SessionInfo> first = session.endAsync();
    CompletableFuture<SessionInfo> second = session.endAsync();
    var asked = gateway.ends.take();
    assertTrue(first.cancel(false));
    ended(asked);
    assertEquals("sess_1", second.get().id());
    assertEquals("sess_1", session.endAsync().get().id());
    assertTrue(gateway.ends.isEmpty());
  }

  @Test
  void anEndThatFailedCanBeTriedAgain() throws Exception {
    open();
    CompletableFuture<SessionInfo> first = session.endAsync();
    gateway.ends.take().answers().onError(Status.INTERNAL.asRuntimeException());
    assertThrows(ExecutionException.class, first::get);
    CompletableFuture<SessionInfo> second = session.endAsync();
    ended(gateway.ends.take());
    assertEquals("sess_1", second.get().id());
  }

  @Test
  void aHandleThatIsClosedRefusesCallsAndHasNothingToTell() throws Exception {
    CompletableFuture<SessionGatewayException> lost = session.lost();
    session.close();
    assertThrows(CancellationException.class, lost::get);
    assertTrue(session.lost().isCancelled());
    assertThrows(IllegalStateException.class, () -> session.call("a"));
    assertInstanceOf(IllegalStateException.class, failure(begin("a")));
  }

  @Test
  void whatIsChainedToALossMayBlockAndRenewalsGoOn() throws Exception {
    session = handle(true);
    CountDownLatch blocked = new CountDownLatch(1);
    CountDownLatch released = new CountDownLatch(1);
    CompletableFuture<Void> chained =
        session
            .lost()
            .thenRun(
                () -> {
                  blocked.countDown();
                  await(released);
                });
    open();
    gateway
        .renewals
        .take()
        .answers()
        .onNext(
            StreamKeepaliveResponse.newBuilder()
                .setSessionId("sess_1")
                .setError(ErrorDetail.newBuilder().setCode(ErrorCode.ERROR_CODE_SESSION_ENDED))
                .build());
    blocked.await();
    CompletableFuture<Void> goesOn = new CompletableFuture<>();
    gateway.timer.execute(() -> goesOn.complete(null));
    goesOn.get();
    assertThrows(SessionEndedException.class, () -> session.call("a"));
    released.countDown();
    chained.get();
  }

  @Test
  void theThreadThatReadsTheOpeningStreamMustNotWaitForIt() throws Exception {
    RunStream stream = session.stream(run -> run.function("count"));
    CompletableFuture<Void> first =
        CompletableFuture.runAsync(
            () -> {
              stream.next();
              assertThrows(IllegalStateException.class, () -> session.call("a"));
            });
    gateway.streams.take().answers().onNext(part());
    first.get();
  }

  @Test
  void aThreadThatHasHandedTheOpeningStreamToAnotherMayWaitForIt() throws Exception {
    RunStream stream = session.stream(run -> run.function("count"));
    CompletableFuture<RunResult> result = new CompletableFuture<>();
    CompletableFuture<RunResult> call =
        CompletableFuture.supplyAsync(
            () -> {
              stream.next();
              Thread other = new Thread(() -> result.complete(stream.finish()));
              other.start();
              awaitWaiting(other);
              return session.call(run -> run.function("a").timeout(MINUTE));
            });
    var asked = gateway.streams.take();
    asked.answers().onNext(part());
    // The call is not refused: it waits for its turn.
    gateway.timer.awaitPlan(MINUTE::equals);
    asked.answers().onNext(RunStreamResponse.newBuilder().setResult(response()).build());
    asked.answers().onCompleted();
    answer(gateway.runs.take());
    assertEquals("sess_1", result.get().sessionId());
    assertEquals("sess_1", call.get().sessionId());
  }

  @Test
  void aStreamThatIsClosedBeforeItsTurnLetsTheNextOneOpenTheSession() throws Exception {
    begin("a");
    RunStream stream = session.stream(run -> run.function("count").timeout(MINUTE));
    CompletableFuture<JsonOutput> step = CompletableFuture.supplyAsync(stream::next);
    gateway.timer.awaitPlan(MINUTE::equals);
    stream.close();
    assertInstanceOf(CancelledException.class, failure(step));
    begin("b");
    gateway.runs.take().answers().onError(Status.INTERNAL.asRuntimeException());
    assertEquals("new", gateway.runs.take().request().getSession());
    assertTrue(gateway.streams.isEmpty());
  }

  private Session handle(boolean keepalive) {
    Runner runner = new Runner(gateway.transport, gateway.pacing, null);
    Sessions sessions = new Sessions(gateway.transport, runner, new OpenStreams());
    Renewer renewer = new Renewer(gateway.transport, gateway.pacing);
    SessionOptions options = new SessionOptions().keepalive(keepalive);
    return new Session(options, runner, new Holding("kv", options, runner, sessions, renewer));
  }

  private CompletableFuture<RunResult> begin(String function) {
    return session.callAsync(run -> run.function(function));
  }

  private void open() throws Exception {
    CompletableFuture<RunResult> opening = begin("open");
    answer(gateway.runs.take());
    opening.get();
  }

  private static void answer(FakeGateway.Asked<RunRequest, RunResponse> asked) {
    asked.answer(response());
  }

  private static RunResponse response() {
    return RunResponse.newBuilder()
        .setSessionId("sess_1")
        .setOutputJson(ByteString.copyFromUtf8("{}"))
        .setSession(info(SessionStatus.SESSION_STATUS_ACTIVE))
        .build();
  }

  private static void ended(FakeGateway.Asked<EndSessionRequest, EndSessionResponse> asked) {
    asked.answer(
        EndSessionResponse.newBuilder()
            .setSession(info(SessionStatus.SESSION_STATUS_ENDED))
            .build());
  }

  private static com.sessiongateway.v1.Session info(SessionStatus status) {
    return com.sessiongateway.v1.Session.newBuilder()
        .setId("sess_1")
        .setApp("kv")
        .setVersion("1")
        .setSessionTimeout(60)
        .setStatus(status)
        .build();
  }

  private static RunStreamResponse part() {
    return RunStreamResponse.newBuilder().setPartialJson(ByteString.copyFromUtf8("{}")).build();
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException interrupted) {
      throw new IllegalStateException(interrupted);
    }
  }

  /** Waits until a thread waits, for as long as a test may take at most. */
  private static void awaitWaiting(Thread thread) {
    long begin = System.nanoTime();
    while (thread.getState() != Thread.State.WAITING) {
      assertTrue(System.nanoTime() - begin < MINUTE.toNanos() && thread.isAlive());
      Thread.onSpinWait();
    }
  }

  private static Throwable failure(CompletableFuture<?> future) {
    return assertThrows(ExecutionException.class, future::get).getCause();
  }
}
