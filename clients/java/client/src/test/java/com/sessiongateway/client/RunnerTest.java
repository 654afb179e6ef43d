package com.sessiongateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.sessiongateway.client.errors.CancelledException;
import com.sessiongateway.client.errors.GatewayDrainingException;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.StoreUnavailableException;
import com.sessiongateway.client.errors.UnavailableException;
import com.sessiongateway.v1.ErrorCode;
import com.sessiongateway.v1.ErrorDetail;
import com.sessiongateway.v1.RunRequest;
import com.sessiongateway.v1.RunResponse;
import com.sessiongateway.v1.RunStreamResponse;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class RunnerTest {
  private static final RunRequest REQUEST = RunRequest.newBuilder().setApp("kv").build();
  private static final RunResponse ANSWER =
      RunResponse.newBuilder().setOutputJson(ByteString.copyFromUtf8("{}")).build();
  private final StatusRuntimeException draining = refusal(ErrorCode.ERROR_CODE_GATEWAY_DRAINING);
  private final StatusRuntimeException noStore = refusal(ErrorCode.ERROR_CODE_STORE_UNAVAILABLE);
  private final ScheduledExecutorService contexts = new ScheduledThreadPoolExecutor(1);
  private FakeGateway gateway;
  private Runner runner;

  @BeforeEach
  void start() throws IOException {
    gateway = new FakeGateway();
    runner = new Runner(gateway.transport, gateway.pacing, null);
  }

  @AfterEach
  void stop() {
    gateway.close();
    contexts.shutdownNow();
  }

  @Test
  void aRunThatWasNotTakenIsSentAgainAfterGrowingWaits() throws Exception {
    CompletableFuture<RunResult> run = runner.run(REQUEST, runner.budget(null));
    Duration wait = Duration.ofMillis(200);
    for (StatusRuntimeException refusal : new StatusRuntimeException[] {draining, noStore}) {
      gateway.runs.take().answers().onError(refusal);
      Duration expected = wait;
      gateway.timer.awaitPlan(expected::equals);
      gateway.timer.advance(wait);
      wait = wait.multipliedBy(2);
    }
    gateway.runs.take().answer(ANSWER);
    assertEquals("{}", run.get().output().text());
  }

  @Test
  void aFewAttemptsAreEnough() throws Exception {
    CompletableFuture<RunResult> run = runner.run(REQUEST, runner.budget(null));
    for (int attempt = 0; attempt < 3; attempt++) {
      gateway.runs.take().answers().onError(draining);
      gateway.timer.advance(gateway.timer.awaitPlan(wait -> true));
    }
    gateway.runs.take().answers().onError(noStore);
    assertInstanceOf(StoreUnavailableException.class, failure(run));
  }

  @Test
  void aWaitBeyondTheDeadlineIsNotBegun() throws Exception {
    CompletableFuture<RunResult> run =
        runner.run(
            REQUEST, new Budget(runner.budget(Duration.ofMillis(100)).deadline(), Context.ROOT));
    gateway.runs.take().answers().onError(draining);
    assertInstanceOf(GatewayDrainingException.class, failure(run));
  }

  @Test
  void aRunWhoseConnectionBrokeIsNotSentAgain() throws Exception {
    CompletableFuture<RunResult> run = runner.run(REQUEST, runner.budget(null));
    gateway.runs.take().answers().onError(Status.UNAVAILABLE.asRuntimeException());
    UnavailableException error = assertInstanceOf(UnavailableException.class, failure(run));
    assertEquals(RunState.UNKNOWN, error.runState());
    assertTrue(gateway.runs.isEmpty());
  }

  @Test
  void aConnectionThatWasClosedUnderARequestIsUnavailable() {
    Status closed =
        Status.UNKNOWN.withDescription("channel closed").withCause(new ClosedChannelException());
    SessionGatewayException error = gateway.transport.failure(closed, null, new Transport.Sent());
    assertInstanceOf(UnavailableException.class, error);
    assertEquals(RunState.NOT_STARTED, error.runState());
  }

  @Test
  void aServerThatCancelsHasGoneAway() throws Exception {
    CompletableFuture<RunResult> run = runner.run(REQUEST, runner.budget(null));
    gateway.runs.take().answers().onError(Status.CANCELLED.asRuntimeException());
    assertInstanceOf(UnavailableException.class, failure(run));
  }

  @Test
  void theEndOfTheContextCancelsARun() throws Exception {
    Context.CancellableContext context = Context.current().withCancellation();
    CompletableFuture<RunResult> run = context.call(() -> runner.run(REQUEST, runner.budget(null)));
    gateway.runs.take();
    context.cancel(null);
    assertInstanceOf(CancelledException.class, failure(run));
  }

  @Test
  void theEndOfTheContextCancelsARunThatIsToBeSentAgain() throws Exception {
    Context.CancellableContext context = Context.current().withCancellation();
    CompletableFuture<RunResult> run = context.call(() -> runner.run(REQUEST, runner.budget(null)));
    gateway.runs.take().answers().onError(draining);
    gateway.timer.awaitPlan(Duration.ofMillis(200)::equals);
    context.cancel(null);
    CancelledException error = assertInstanceOf(CancelledException.class, failure(run));
    assertEquals(RunState.NOT_STARTED, error.runState());
    gateway.timer.awaitIdle();
  }

  @Test
  void aWaitBeyondTheDeadlineOfTheContextIsNotBegun() throws Exception {
    Context context = deadlineIn(Duration.ofMinutes(1));
    Budget budget = context.call(() -> runner.budget(Duration.ofHours(1)));
    // Sent outside the context, whose clock gRPC would not compare with that of the test.
    CompletableFuture<RunResult> run =
        runner.run(REQUEST, new Budget(budget.deadline(), Context.ROOT));
    gateway
        .runs
        .take()
        .answers()
        .onError(
            FakeGateway.error(
                Status.UNAVAILABLE,
                ErrorDetail.newBuilder()
                    .setCode(ErrorCode.ERROR_CODE_GATEWAY_DRAINING)
                    .setRetryAfter(
                        com.google.protobuf.Duration.newBuilder().setSeconds(120).build())
                    .build()));
    assertInstanceOf(GatewayDrainingException.class, failure(run));
  }

  @Test
  void aTimeoutThatIsShorterThanThatOfTheContextCounts() throws Exception {
    Context context = deadlineIn(Duration.ofHours(1));
    Duration minute = Duration.ofMinutes(1);
    assertEquals(minute, context.call(() -> runner.budget(minute)).remaining());
  }

  @Test
  void aRunThatMayHaveBegunIsNotSentAgainWhateverItsCode() throws Exception {
    CompletableFuture<RunResult> run = runner.run(REQUEST, runner.budget(null));
    gateway
        .runs
        .take()
        .answers()
        .onError(
            FakeGateway.error(
                Status.UNAVAILABLE,
                ErrorCode.ERROR_CODE_GATEWAY_DRAINING,
                com.sessiongateway.v1.RunState.RUN_STATE_UNKNOWN));
    assertInstanceOf(GatewayDrainingException.class, failure(run));
  }

  @Test
  void closingAStreamTakesAwayAnOutputThatNobodyHasTaken() throws Exception {
    RunStream stream = new RunStream(runner, StreamTurn.free(REQUEST), null);
    CompletableFuture<Boolean> first = CompletableFuture.supplyAsync(stream::hasNext);
    gateway.streams.take().answers().onNext(part("{}"));
    assertTrue(first.get());
    stream.close();
    assertFalse(stream.hasNext());
  }

  @Test
  void closingTheClientEndsWhatWaits() throws Exception {
    CompletableFuture<RunResult> run = runner.run(REQUEST, runner.budget(null));
    gateway.runs.take();
    gateway.transport.close();
    CancelledException error = assertInstanceOf(CancelledException.class, failure(run));
    assertEquals("the client was closed during the request", error.description());
    assertThrows(IllegalStateException.class, () -> runner.run(REQUEST, runner.budget(null)));
  }

  @Test
  void aStreamIsSentAgainOnlyBeforeItsFirstPart() throws Exception {
    RunStream stream = new RunStream(runner, StreamTurn.free(REQUEST), null);
    CompletableFuture<JsonOutput> first = CompletableFuture.supplyAsync(stream::next);
    gateway.streams.take().answers().onError(draining);
    gateway.timer.awaitPlan(Duration.ofMillis(200)::equals);
    gateway.timer.advance(Duration.ofMillis(200));
    FakeGateway.Asked<RunRequest, RunStreamResponse> asked = gateway.streams.take();
    asked.answers().onNext(part("{\"a\":1}"));
    assertEquals("{\"a\":1}", first.get().text());
    asked.answers().onError(draining);
    assertThrows(GatewayDrainingException.class, stream::hasNext);
    assertThrows(IllegalStateException.class, stream::result);
  }

  @Test
  void aStreamThatEndsWithoutAResultHasFailed() throws Exception {
    RunStream stream = new RunStream(runner, StreamTurn.free(REQUEST), null);
    CompletableFuture<RunResult> result = CompletableFuture.supplyAsync(stream::finish);
    FakeGateway.Asked<RunRequest, RunStreamResponse> asked = gateway.streams.take();
    asked.answers().onNext(RunStreamResponse.getDefaultInstance());
    asked.answers().onNext(part("{}"));
    asked.answers().onCompleted();
    SessionGatewayException error = failure(result);
    assertEquals("INVALID_RESPONSE", error.code());
    assertEquals(RunState.UNKNOWN, error.runState());
  }

  @Test
  void closingAStreamEndsAStepThatWaits() throws Exception {
    RunStream stream = new RunStream(runner, StreamTurn.free(REQUEST), null);
    CompletableFuture<JsonOutput> step = CompletableFuture.supplyAsync(stream::next);
    gateway.streams.take();
    stream.close();
    assertInstanceOf(CancelledException.class, failure(step));
  }

  @Test
  void cancellingTheFutureCancelsTheRun() throws Exception {
    CompletableFuture<RunResult> run = runner.run(REQUEST, runner.budget(null));
    FakeGateway.Asked<RunRequest, RunResponse> asked = gateway.runs.take();
    run.cancel(false);
    asked.isLeft().get();
    assertTrue(run.isCancelled());
  }

  private Context deadlineIn(Duration time) {
    return Context.ROOT.withDeadlineAfter(time.toNanos(), TimeUnit.NANOSECONDS, contexts);
  }

  private static RunStreamResponse part(String json) {
    return RunStreamResponse.newBuilder().setPartialJson(ByteString.copyFromUtf8(json)).build();
  }

  private static SessionGatewayException failure(CompletableFuture<?> future) {
    ExecutionException error = assertThrows(ExecutionException.class, future::get);
    return assertInstanceOf(SessionGatewayException.class, error.getCause());
  }

  private static StatusRuntimeException refusal(ErrorCode code) {
    return FakeGateway.error(
        Status.UNAVAILABLE, code, com.sessiongateway.v1.RunState.RUN_STATE_NOT_STARTED);
  }
}
