package com.sessiongateway.client;

import com.sessiongateway.client.errors.GatewayDrainingException;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.StoreUnavailableException;
import com.sessiongateway.v1.RunRequest;
import com.sessiongateway.v1.RunStreamResponse;
import com.sessiongateway.v1.SessionServiceGrpc;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Runs functions; the only place that sends a run more than once. */
final class Runner {
  private final Transport transport;
  private final Pacing pacing;
  private final @Nullable Duration timeout;

  Runner(Transport transport, Pacing pacing, @Nullable Duration timeout) {
    this.transport = transport;
    this.pacing = pacing;
    this.timeout = timeout;
  }

  Pacing pacing() {
    return pacing;
  }

  /** Starts counting a request's own time, or else the client's. */
  Budget budget(@Nullable Duration own) {
    return Budget.start(own == null ? timeout : own, pacing.timer());
  }

  /** Runs once, and again only as long as the gateway says that it took nothing. */
  CompletableFuture<RunResult> run(RunRequest request, Budget budget) {
    Operation<RunResult> result = new Operation<>();
    result.after(
        send(() -> transport.run(request, budget), budget),
        (response, error) -> {
          if (error != null) {
            result.completeExceptionally(error);
          } else {
            result.complete(RunResult.of(response));
          }
        });
    return result;
  }

  /** Opens a stream and waits for its first part, under the same rule. */
  CompletableFuture<OpenStream> stream(RunRequest request, Budget budget) {
    AtomicReference<@Nullable Reader<RunStreamResponse>> last = new AtomicReference<>();
    CompletableFuture<OpenStream> opened = send(() -> open(request, budget, last), budget);
    opened.whenComplete(
        (stream, error) -> {
          Reader<RunStreamResponse> reader = last.get();
          if (error != null && reader != null) {
            reader.cancel();
          }
        });
    return opened;
  }

  private CompletableFuture<OpenStream> open(
      RunRequest request,
      Budget budget,
      AtomicReference<@Nullable Reader<RunStreamResponse>> last) {
    Reader<RunStreamResponse> reader =
        transport.open(SessionServiceGrpc.getRunStreamMethod(), request, budget, true);
    last.set(reader);
    Operation<OpenStream> opened = new Operation<>();
    opened.whenComplete(
        (stream, error) -> {
          if (error != null) {
            reader.cancel();
          }
        });
    opened.after(
        reader.next(),
        (first, error) -> opened.end(error == null ? new OpenStream(reader, first) : null, error));
    return opened;
  }

  private <T> CompletableFuture<T> send(Supplier<CompletableFuture<T>> attempt, Budget budget) {
    Operation<T> all = new Operation<>();
    attempt(attempt, budget, 0, all);
    return all;
  }

  private <T> void attempt(
      Supplier<CompletableFuture<T>> send, Budget budget, int attempt, Operation<T> all) {
    all.after(
        send.get(),
        (value, error) -> {
          Duration pause = error == null ? null : pause(error, attempt, budget);
          if (pause == null) {
            all.end(value, error);
          } else {
            CompletableFuture<Void> waited = new CompletableFuture<>();
            Timer.Cancellation timer = pacing.timer().schedule(pause, () -> waited.complete(null));
            waited.whenComplete((none, ended) -> timer.cancel());
            budget.limit(waited);
            all.after(
                waited,
                (none, ended) -> {
                  if (ended != null) {
                    all.completeExceptionally(ended);
                  } else {
                    goOn(send, budget, attempt + 1, all, error);
                  }
                });
          }
        });
  }

  private <T> void goOn(
      Supplier<CompletableFuture<T>> send,
      Budget budget,
      int attempt,
      Operation<T> all,
      @Nullable Throwable last) {
    if (transport.isClosed() && last != null) {
      all.completeExceptionally(last);
    } else {
      attempt(send, budget, attempt, all);
    }
  }

  /** Returns how long to wait before the next attempt; null if there is to be none. */
  private @Nullable Duration pause(Throwable error, int attempt, Budget budget) {
    if (!(error instanceof SessionGatewayException failure)
        || !tookNothing(failure)
        || attempt + 1 >= pacing.drainAttempts()) {
      return null;
    }
    Duration asked = failure.retryAfter();
    Duration pause = pacing.drain().delay(attempt, pacing.random().getAsDouble());
    if (asked != null && asked.compareTo(pause) > 0) {
      pause = asked;
    }
    Duration remaining = budget.remaining();
    return remaining != null && pause.compareTo(remaining) >= 0 ? null : pause;
  }

  private static boolean tookNothing(SessionGatewayException failure) {
    RunState state = failure.runState();
    return (failure instanceof GatewayDrainingException
            || failure instanceof StoreUnavailableException)
        && (state == null || state == RunState.NOT_STARTED);
  }

  /** A stream with its first part, which is null if it ended without any. */
  record OpenStream(Reader<RunStreamResponse> reader, @Nullable RunStreamResponse first) {}
}
