package com.sessiongateway.client;

import com.sessiongateway.client.errors.SessionEndedException;
import com.sessiongateway.client.errors.SessionExpiredException;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.SessionNotFoundException;
import com.sessiongateway.v1.EndSessionRequest;
import com.sessiongateway.v1.GetSessionRequest;
import com.sessiongateway.v1.KeepaliveRequest;
import com.sessiongateway.v1.ListSessionsRequest;
import com.sessiongateway.v1.ListSessionsResponse;
import com.sessiongateway.v1.Session;
import com.sessiongateway.v1.SessionServiceGrpc;
import io.grpc.MethodDescriptor;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Reads, watches, renews and ends sessions. Every method that waits throws {@link
 * SessionGatewayException} if its request fails; the future of every other fails with it, and
 * cancelling it cancels the request.
 */
public final class Sessions {
  private final Transport transport;
  private final Runner runner;
  private final OpenStreams openStreams;

  Sessions(Transport transport, Runner runner, OpenStreams openStreams) {
    this.transport = transport;
    this.runner = runner;
    this.openStreams = openStreams;
  }

  /**
   * Returns a session as it is now, also a finished one. Does not extend its life.
   *
   * @throws SessionNotFoundException there is none with this id
   */
  public SessionInfo get(String sessionId) {
    return Operation.await(getAsync(sessionId), null);
  }

  /** Does what {@link #get(String)} does, within a time of its own. */
  public SessionInfo get(String sessionId, Duration timeout) {
    return Operation.await(getAsync(sessionId, timeout), null);
  }

  /** Does what {@link #get(String)} does without waiting. */
  public CompletableFuture<SessionInfo> getAsync(String sessionId) {
    return sendGetSession(sessionId, null);
  }

  /** Does what {@link #get(String)} does without waiting, within a time of its own. */
  public CompletableFuture<SessionInfo> getAsync(String sessionId, Duration timeout) {
    return sendGetSession(sessionId, timeout);
  }

  /**
   * Lets a session's timeout begin anew, and returns the session.
   *
   * @throws SessionNotFoundException there is none with this id
   * @throws SessionExpiredException it was too late
   * @throws SessionEndedException it was ended
   */
  public SessionInfo keepalive(String sessionId) {
    return Operation.await(keepaliveAsync(sessionId), null);
  }

  /** Does what {@link #keepalive(String)} does, within a time of its own. */
  public SessionInfo keepalive(String sessionId, Duration timeout) {
    return Operation.await(keepaliveAsync(sessionId, timeout), null);
  }

  /** Does what {@link #keepalive(String)} does without waiting. */
  public CompletableFuture<SessionInfo> keepaliveAsync(String sessionId) {
    return sendKeepalive(sessionId, null);
  }

  /** Does what {@link #keepalive(String)} does without waiting, within a time of its own. */
  public CompletableFuture<SessionInfo> keepaliveAsync(String sessionId, Duration timeout) {
    return sendKeepalive(sessionId, timeout);
  }

  /**
   * Ends a session, releases its worker at once, and returns the session. One that is finished
   * stays as it is.
   *
   * @throws SessionNotFoundException there is none with this id
   */
  public SessionInfo end(String sessionId) {
    return Operation.await(endAsync(sessionId), null);
  }

  /** Does what {@link #end(String)} does, within a time of its own. */
  public SessionInfo end(String sessionId, Duration timeout) {
    return Operation.await(endAsync(sessionId, timeout), null);
  }

  /** Does what {@link #end(String)} does without waiting. */
  public CompletableFuture<SessionInfo> endAsync(String sessionId) {
    return sendEndSession(sessionId, null);
  }

  /** Does what {@link #end(String)} does without waiting, within a time of its own. */
  public CompletableFuture<SessionInfo> endAsync(String sessionId, Duration timeout) {
    return sendEndSession(sessionId, timeout);
  }

  /**
   * Returns the caller's sessions, the newest first, over all pages. Each page is fetched when it
   * is needed.
   */
  public Pages<SessionInfo> list() {
    return list(query -> {});
  }

  /**
   * Returns those of the caller's sessions that are asked for, the newest first, over all pages.
   */
  public Pages<SessionInfo> list(Consumer<SessionQuery> query) {
    SessionQuery asked = new SessionQuery();
    query.accept(asked);
    ListSessionsRequest first = asked.request();
    return new Pages<>(
        token -> {
          CompletableFuture<ListSessionsResponse> answer =
              transport.send(
                  SessionServiceGrpc.getListSessionsMethod(),
                  first.toBuilder().setPageToken(token).build(),
                  runner.budget(asked.timeout()));
          ListSessionsResponse page = Operation.await(answer, null);
          return new Pages.Page<>(
              page.getSessionsList().stream().map(SessionInfo::new).toList(),
              page.getNextPageToken());
        });
  }

  /** Watches the caller's sessions from now on, as {@link #watch(Consumer)} does. */
  public WatchStream watch() {
    return watch(options -> {});
  }

  /**
   * Returns an iterator over what happens to the caller's sessions, as soon as the watch stands: a
   * list that is read after that leaves no gap.
   *
   * @throws IllegalStateException the client is closed
   * @throws SessionGatewayException the gateway cannot be reached, or refuses the token or the app
   */
  public WatchStream watch(Consumer<WatchOptions> options) {
    WatchOptions asked = new WatchOptions();
    options.accept(asked);
    WatchStream stream = new WatchStream(transport, runner.pacing(), asked, openStreams::remove);
    openStreams.add(stream, WatchStream.class, WatchStream::close);
    try {
      stream.awaitStanding();
    } catch (RuntimeException | Error failure) {
      stream.close();
      throw failure;
    }
    return stream;
  }

  private CompletableFuture<SessionInfo> sendGetSession(
      String sessionId, @Nullable Duration timeout) {
    return send(
        SessionServiceGrpc.getGetSessionMethod(),
        GetSessionRequest.newBuilder()
            .setSessionId(Objects.requireNonNull(sessionId, "sessionId is null"))
            .build(),
        timeout,
        response -> response.getSession());
  }

  private CompletableFuture<SessionInfo> sendKeepalive(
      String sessionId, @Nullable Duration timeout) {
    return send(
        SessionServiceGrpc.getKeepaliveMethod(),
        KeepaliveRequest.newBuilder()
            .setSessionId(Objects.requireNonNull(sessionId, "sessionId is null"))
            .build(),
        timeout,
        response -> response.getSession());
  }

  private CompletableFuture<SessionInfo> sendEndSession(
      String sessionId, @Nullable Duration timeout) {
    return send(
        SessionServiceGrpc.getEndSessionMethod(),
        EndSessionRequest.newBuilder()
            .setSessionId(Objects.requireNonNull(sessionId, "sessionId is null"))
            .build(),
        timeout,
        response -> response.getSession());
  }

  private <Q, R> CompletableFuture<SessionInfo> send(
      MethodDescriptor<Q, R> method,
      Q request,
      @Nullable Duration timeout,
      Function<R, Session> session) {
    Operation<SessionInfo> info = new Operation<>();
    info.after(
        transport.send(method, request, runner.budget(timeout)),
        (response, error) ->
            info.end(error == null ? new SessionInfo(session.apply(response)) : null, error));
    return info;
  }
}
