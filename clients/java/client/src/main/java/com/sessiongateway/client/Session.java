package com.sessiongateway.client;

import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import java.time.Duration;
import java.util.Collections;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One session, made by {@link SessionGatewayClient#session(String)}, which ends when it is closed.
 *
 * <p>The first call opens it; calls that arrive meanwhile wait for that. If the first call fails
 * there is no session, and the next call is the first again. A stream is a call too, and opens the
 * session with its result. From then on every call goes to the session's own app and version, also
 * when a newer one has been deployed. A session that has finished is never replaced: its calls
 * throw. May be used by several threads.
 */
public final class Session implements AutoCloseable {
  private final SessionOptions options;
  private final Runner runner;
  private final Holding holding;
  private final Set<RunStream> streams =
      Collections.synchronizedSet(Collections.newSetFromMap(new WeakHashMap<>()));

  Session(SessionOptions options, Runner runner, Holding holding) {
    this.options = options;
    this.runner = runner;
    this.holding = holding;
  }

  /** Returns the session's id; null before the first call has succeeded. */
  public @Nullable String id() {
    return holding.id();
  }

  /** Returns the session as it was in the newest answer; null before the first. */
  public @Nullable SessionInfo info() {
    return holding.info();
  }

  /**
   * Returns what completes with the reason when keepalive finds that the session is lost, and is
   * cancelled when the handle or the client is closed before that. Without keepalive nothing is
   * ever found lost.
   */
  public CompletableFuture<SessionGatewayException> lost() {
    return holding.lost();
  }

  /**
   * Calls a function.
   *
   * @param params function, input, request id, expected call count and timeout, each optional
   * @throws IllegalArgumentException something else is set
   * @throws IllegalStateException the handle or the client is closed; or the session is being
   *     opened by a stream that this thread has not read to its end
   * @throws SessionGatewayException the call failed; or, with keepalive, the session is known to be
   *     lost
   */
  public RunResult call(RunParams params) {
    holding.refuseReader();
    return Operation.await(callAsync(params), RunState.UNKNOWN);
  }

  /** Calls a function, as {@link #call(RunParams)} does. */
  public RunResult call(Consumer<RunParams.Builder> params) {
    return call(SessionGatewayClient.filled(params));
  }

  /** Calls a function with an input, as {@link #call(RunParams)} does. */
  public RunResult call(String function, Object input) {
    return call(RunParams.builder().function(function).input(input).build());
  }

  /**
   * Calls the app's default function with an input, as {@link #call(RunParams)} does.
   *
   * @param input whatever Jackson writes as a JSON object, such as a map, a record or a tree
   */
  public RunResult call(Object input) {
    return call(RunParams.builder().input(input).build());
  }

  /** Calls a function without an input, as {@link #call(RunParams)} does. */
  public RunResult call(String function) {
    return call(RunParams.builder().function(function).build());
  }

  /**
   * Does what {@link #call(RunParams)} does without waiting; cancelling the future cancels the
   * call.
   */
  public CompletableFuture<RunResult> callAsync(RunParams params) {
    return holding.call(params.inSession(), runner.budget(timeout(params)));
  }

  /**
   * Does what {@link #call(RunParams)} does without waiting; cancelling the future cancels the
   * call.
   */
  public CompletableFuture<RunResult> callAsync(Consumer<RunParams.Builder> params) {
    return callAsync(SessionGatewayClient.filled(params));
  }

  /**
   * Calls a function as {@link #call(RunParams)} does, and returns an iterator over its partial
   * outputs with the result at its end. Nothing is sent before the first step of the iteration,
   * which throws what a call throws. Closing the handle closes a stream that has not opened its
   * session yet.
   *
   * @throws IllegalArgumentException something that belongs to the session is set
   */
  public RunStream stream(RunParams params) {
    RunStream stream = new RunStream(runner, holding.turn(params.inSession()), timeout(params));
    streams.add(stream);
    return stream;
  }

  /** Calls a function, as {@link #stream(RunParams)} does. */
  public RunStream stream(Consumer<RunParams.Builder> params) {
    return stream(SessionGatewayClient.filled(params));
  }

  /**
   * Ends the session, if it was opened, and closes the handle. May be called twice.
   *
   * <p>Waits for the handle's timeout at most, or 10 seconds if it has none, also when this thread
   * is interrupted: its interrupt flag stays set, and the session is ended all the same.
   *
   * @return the session as it is now; null if there is none
   * @throws SessionGatewayException the session could not be ended; it will expire by itself
   */
  public @Nullable SessionInfo end() {
    return Operation.awaitAnyway(endAsync());
  }

  /**
   * Does what {@link #end()} does without waiting; cancelling the future does not keep the session
   * from being ended.
   */
  public CompletableFuture<@Nullable SessionInfo> endAsync() {
    holding.close();
    if (holding.id() == null) {
      // A session whose id is not known yet ends only with the call that opens it.
      for (RunStream stream : streams.toArray(new RunStream[0])) {
        stream.close();
      }
    }
    return holding.end();
  }

  /**
   * Does what {@link #end()} does.
   *
   * @throws SessionGatewayException the session could not be ended; it will expire by itself
   */
  @Override
  public void close() {
    end();
  }

  @Override
  public String toString() {
    return "Session[id=" + id() + "]";
  }

  private @Nullable Duration timeout(RunParams params) {
    return params.timeout() == null ? options.timeout : params.timeout();
  }
}
