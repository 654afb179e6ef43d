package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.v1.RunRequest;
import com.sessiongateway.v1.RunStreamResponse;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Iterates over the partial outputs of one run; at the end, {@link #result()} has its answer.
 *
 * <p>The run is sent with the first step of the iteration. Nothing is read ahead: a reader that is
 * slow slows the function. Whoever stops early closes the stream, which cancels the run on the
 * gateway too; so does interrupting a thread that waits in a step. A step throws what {@link
 * SessionGatewayClient#run(RunParams)} throws, also after outputs have come; a stream that has
 * failed or was closed has no more outputs.
 *
 * <p>May be used by several threads, whose steps follow one another; closing does not wait for a
 * step.
 */
public final class RunStream implements Iterator<JsonOutput>, AutoCloseable {
  private final Runner runner;
  private final StreamTurn turn;
  private final @Nullable Duration timeout;
  private final ReentrantLock stepping = new ReentrantLock();

  private volatile @Nullable CompletableFuture<?> step;
  private volatile @Nullable Reader<RunStreamResponse> reader;
  private volatile boolean isOver;
  private volatile @Nullable RunResult result;
  private boolean hasBegun;
  private @Nullable JsonOutput upcoming;

  RunStream(Runner runner, StreamTurn turn, @Nullable Duration timeout) {
    this.runner = runner;
    this.turn = turn;
    this.timeout = timeout;
  }

  /**
   * Waits for the next output and tells whether there is one.
   *
   * @throws SessionGatewayException the run failed
   */
  @Override
  public boolean hasNext() {
    stepping.lock();
    try {
      if (upcoming == null && !isOver) {
        upcoming = advance();
      }
      if (isOver) {
        // Closed with an output that nobody has taken.
        upcoming = null;
      }
      return upcoming != null;
    } finally {
      stepping.unlock();
    }
  }

  /**
   * Waits for the next output and returns it.
   *
   * @throws NoSuchElementException the result has come, or the stream was closed or has failed
   * @throws SessionGatewayException the run failed
   */
  @Override
  public JsonOutput next() {
    stepping.lock();
    try {
      JsonOutput output = hasNext() ? upcoming : null;
      if (output == null) {
        throw new NoSuchElementException("the stream is over");
      }
      upcoming = null;
      return output;
    } finally {
      stepping.unlock();
    }
  }

  /**
   * Returns the answer, as {@link SessionGatewayClient#run(RunParams)} returns it.
   *
   * @throws IllegalStateException the stream has not been read to its end, was closed, or has
   *     failed
   */
  public RunResult result() {
    RunResult answer = result;
    if (answer == null) {
      throw new IllegalStateException(
          "the stream has no result: it was not read to its end, was closed, or failed");
    }
    return answer;
  }

  /**
   * Passes over the outputs that are left and returns the result.
   *
   * @throws IllegalStateException the stream was closed, or has failed before
   * @throws SessionGatewayException the run failed
   */
  public RunResult finish() {
    while (hasNext()) {
      next();
    }
    return result();
  }

  /**
   * Cancels the run unless it has ended; a step that waits meanwhile throws. May be called twice.
   */
  @Override
  public void close() {
    isOver = true;
    CompletableFuture<?> waiting = step;
    if (waiting != null) {
      waiting.cancel(false);
    }
    Reader<RunStreamResponse> open = reader;
    if (open != null && result == null) {
      open.cancel();
    }
    turn.end();
  }

  /** Returns the next output; null when the result has come instead. */
  private @Nullable JsonOutput advance() {
    try {
      turn.asking();
      JsonOutput output = nextOutput();
      if (output != null) {
        turn.giving();
      }
      return output;
    } catch (RuntimeException | Error failure) {
      close();
      throw failure;
    }
  }

  private @Nullable JsonOutput nextOutput() {
    RunStreamResponse part = hasBegun ? waitFor(opened().next()) : begin();
    while (part != null) {
      if (part.hasPartialJson()) {
        return new JsonOutput(part.getPartialJson(), "", "", RunState.UNKNOWN);
      }
      if (part.hasResult()) {
        end(RunResult.of(part.getResult()));
        return null;
      }
      if (part.hasPartial()) {
        throw Errors.invalidResponse(
            "an output is not in the form that was asked for", RunState.UNKNOWN, "", "");
      }
      // Of a kind that only a newer gateway knows.
      part = waitFor(opened().next());
    }
    throw Errors.invalidResponse("the stream ended without a result", RunState.UNKNOWN, "", "");
  }

  private @Nullable RunStreamResponse begin() {
    hasBegun = true;
    Budget budget = runner.budget(timeout);
    RunRequest request = waitFor(turn.take(budget));
    Runner.OpenStream stream = waitFor(runner.stream(request, budget));
    reader = stream.reader();
    if (isOver) {
      throw Operation.cancelled("the stream was closed before its result", RunState.UNKNOWN);
    }
    return stream.first();
  }

  private void end(RunResult answer) {
    result = answer;
    isOver = true;
    turn.result(answer);
    turn.end();
    // Nobody who has the result waits for the status behind it, but a call that is cancelled
    // without it would be taken for one that its caller has left.
    Reader<RunStreamResponse> ending = opened();
    CompletableFuture<?> status = ending.next();
    Pacing pacing = runner.pacing();
    Timer.Cancellation timer = pacing.timer().schedule(pacing.statusWait(), ending::cancel);
    status.whenComplete((none, error) -> timer.cancel());
  }

  private Reader<RunStreamResponse> opened() {
    Reader<RunStreamResponse> open = reader;
    if (open == null) {
      throw new IllegalStateException("the stream has not begun");
    }
    return open;
  }

  private <T extends @Nullable Object> T waitFor(CompletableFuture<T> next) {
    step = next;
    if (isOver) {
      next.cancel(false);
    }
    return Operation.await(next, RunState.UNKNOWN);
  }
}
