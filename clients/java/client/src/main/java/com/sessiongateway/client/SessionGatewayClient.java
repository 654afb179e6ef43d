package com.sessiongateway.client;

import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import java.time.Duration;
import java.util.Collection;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A client of Session Gateway. May be used by several threads, and should be: it has one connection
 * for all of them.
 *
 * <pre>{@code
 * try (var client = SessionGatewayClient.create();
 *     var session = client.session("kv")) {
 *   session.call("set_value", Map.of("key", "a", "value", 1));
 *   System.out.println(session.call("get_value", Map.of("key", "a")).output());
 * }
 * }</pre>
 *
 * <p>A request that waits is cancelled by interrupting its thread, and one whose future the caller
 * holds by cancelling that; the gateway cancels the function then, too. The end of the {@link
 * io.grpc.Context} in which a request was made does the same.
 */
public final class SessionGatewayClient implements AutoCloseable {
  private static final String DEFAULT_ADDRESS = "127.0.0.1:50151";

  private final Pacing pacing;
  private final Transport transport;
  private final Runner runner;
  private final Renewer renewer;
  private final Sessions sessions;
  private final Apps apps;
  private final OpenStreams openStreams = new OpenStreams();

  private SessionGatewayClient(Builder settings) {
    String address = settings.address;
    if (address == null || address.isEmpty()) {
      address = System.getenv().getOrDefault("SGW_ADDRESS", "");
    }
    if (address.isEmpty()) {
      address = DEFAULT_ADDRESS;
    }
    String key = settings.apiKey == null ? System.getenv("SGW_API_KEY") : settings.apiKey;
    transport = new Transport(Channels.open(address, settings.credentials, key), address);
    pacing = settings.pacing == null ? Pacing.standard() : settings.pacing;
    runner = new Runner(transport, pacing, settings.timeout);
    renewer = new Renewer(transport, pacing);
    sessions = new Sessions(transport, runner, openStreams);
    apps = new Apps(transport, runner);
  }

  /** Returns a client with the settings of the environment: SGW_ADDRESS, SGW_API_KEY. */
  public static SessionGatewayClient create() {
    return builder().build();
  }

  /** Returns a builder of clients. */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Calls a function of an app, and returns its answer.
   *
   * <p>A run is sent again only when the gateway answers that it took nothing, because it is
   * shutting down or cannot use its records. It is never sent again because a connection broke: see
   * {@link SessionGatewayException#runState()}.
   *
   * @throws IllegalArgumentException the app is missing; nothing was sent
   * @throws SessionGatewayException the run failed; its class says how, its run state whether it
   *     was applied
   */
  public RunResult run(RunParams params) {
    return Operation.await(runAsync(params), RunState.UNKNOWN);
  }

  /** Calls a function of an app, as {@link #run(RunParams)} does. */
  public RunResult run(Consumer<RunParams.Builder> params) {
    return run(filled(params));
  }

  /**
   * Does what {@link #run(RunParams)} does without waiting; cancelling the future cancels the run.
   */
  public CompletableFuture<RunResult> runAsync(RunParams params) {
    return runner.run(params.request(), runner.budget(params.timeout()));
  }

  /**
   * Does what {@link #run(RunParams)} does without waiting; cancelling the future cancels the run.
   */
  public CompletableFuture<RunResult> runAsync(Consumer<RunParams.Builder> params) {
    return runAsync(filled(params));
  }

  /**
   * Calls a function of an app, and returns an iterator over its partial outputs, which has the
   * result at its end. Nothing is sent, and no time counts, before the first step. A run is sent
   * again under the same rule, before its first part only.
   *
   * @throws IllegalArgumentException the app is missing
   */
  public RunStream runStream(RunParams params) {
    return new RunStream(runner, StreamTurn.free(params.request()), params.timeout());
  }

  /** Calls a function of an app, as {@link #runStream(RunParams)} does. */
  public RunStream runStream(Consumer<RunParams.Builder> params) {
    return runStream(filled(params));
  }

  /**
   * Returns a handle of a new session, which opens with its first call and ends when it is closed.
   */
  public Session session(String app) {
    return session(app, options -> {});
  }

  /**
   * Returns a handle of a new session, which opens with its first call and ends when it is closed.
   *
   * @param app "name" or "name@version"
   * @throws IllegalStateException the client is closed
   */
  public Session session(String app, Consumer<SessionOptions> options) {
    Objects.requireNonNull(app, "app is null");
    SessionOptions wanted = new SessionOptions();
    options.accept(wanted);
    Holding holding = new Holding(app, wanted, runner, sessions, renewer);
    openStreams.add(holding, Holding.class, Holding::clientIsClosed);
    return new Session(wanted, runner, holding);
  }

  /**
   * Starts renewing sessions, at a third of the shortest timeout among them, until the stream is
   * closed. All renewals of a client share one stream to the gateway, which carries 10,000 sessions
   * at most: one more is told as lost, with INVALID_REQUEST.
   *
   * @throws IllegalStateException the client is closed
   */
  public KeepaliveStream keepalive(Collection<String> sessionIds) {
    KeepaliveStream stream = new KeepaliveStream(renewer, sessionIds, openStreams::remove);
    openStreams.add(stream, KeepaliveStream.class, KeepaliveStream::close);
    stream.start();
    return stream;
  }

  /** Returns what reads, watches, renews and ends sessions. */
  public Sessions sessions() {
    return sessions;
  }

  /** Returns what tells of the deployed apps. */
  public Apps apps() {
    return apps;
  }

  /**
   * Stops every renewal, cancels what is in flight and closes the connection. May be called twice.
   */
  @Override
  public void close() {
    openStreams.close();
    renewer.close();
    transport.close();
    pacing.timer().close();
  }

  @Override
  public String toString() {
    return "SessionGatewayClient[address=" + transport.address() + "]";
  }

  static RunParams filled(Consumer<RunParams.Builder> params) {
    RunParams.Builder builder = RunParams.builder();
    params.accept(builder);
    return builder.build();
  }

  /** Sets what a client needs to know. */
  public static final class Builder {
    private @Nullable String address;
    private @Nullable String apiKey;
    private @Nullable Duration timeout;
    private @Nullable Pacing pacing;
    private ChannelCredentials credentials = InsecureChannelCredentials.create();

    private Builder() {}

    /**
     * Sets the gateway's HOST:PORT. With dns:///HOST:PORT calls go round among all addresses of the
     * name. Left out: the environment's SGW_ADDRESS, else 127.0.0.1:50151.
     */
    public Builder address(String address) {
      this.address = address;
      return this;
    }

    /**
     * Sets the key that is sent with every request. Left out: the environment's SGW_API_KEY, if
     * there is one.
     */
    public Builder apiKey(String apiKey) {
      this.apiKey = apiKey;
      return this;
    }

    /**
     * Sets how long a request may take with all its attempts, where it does not say itself. Left
     * out: for ever.
     */
    public Builder timeout(Duration timeout) {
      this.timeout = timeout;
      return this;
    }

    /**
     * Sets gRPC's credentials, such as {@link io.grpc.TlsChannelCredentials}. Left out: nothing is
     * encrypted.
     */
    public Builder credentials(ChannelCredentials credentials) {
      this.credentials = credentials;
      return this;
    }

    Builder pacing(Pacing pacing) {
      this.pacing = pacing;
      return this;
    }

    /**
     * Returns the client, which connects with its first request.
     *
     * @throws IllegalArgumentException the address is no HOST:PORT, or the API key cannot be sent
     */
    public SessionGatewayClient build() {
      return new SessionGatewayClient(this);
    }
  }
}
