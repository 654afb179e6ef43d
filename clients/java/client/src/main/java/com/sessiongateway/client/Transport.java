package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.v1.RunRequest;
import com.sessiongateway.v1.RunResponse;
import com.sessiongateway.v1.SessionServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ClientStreamTracer;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.nio.channels.ClosedChannelException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** The connection to a gateway, and one request over it. */
final class Transport implements AutoCloseable {
  private final ManagedChannel channel;
  private final String address;
  private volatile boolean closed;

  Transport(ManagedChannel channel, String address) {
    this.channel = channel;
    this.address = address;
  }

  String address() {
    return address;
  }

  boolean isClosed() {
    return closed;
  }

  /** Sends a request that is safe to repeat. */
  <Q, R> CompletableFuture<R> send(MethodDescriptor<Q, R> method, Q request, Budget budget) {
    return unary(method, request, budget, null);
  }

  /**
   * Sends a run, once. Its error has the run state NOT_STARTED only if it never left this process.
   */
  CompletableFuture<RunResponse> run(RunRequest request, Budget budget) {
    return unary(SessionServiceGrpc.getRunMethod(), request, budget, new Sent());
  }

  /** Opens a stream of answers, which are read one by one. */
  <Q, R> Reader<R> open(MethodDescriptor<Q, R> method, Q request, Budget budget, boolean isRun) {
    Sent sent = isRun ? new Sent() : null;
    return start(method, request, budget, sent);
  }

  /** Opens a stream to both sides that belongs to no caller. */
  <Q, R> ClientCall<Q, R> call(MethodDescriptor<Q, R> method) {
    wakeUp();
    return channel.newCall(method, CallOptions.DEFAULT);
  }

  /** Cancels what is in flight and closes the channel. May be called twice. */
  @Override
  public void close() {
    closed = true;
    channel.shutdownNow();
    try {
      channel.awaitTermination(1, TimeUnit.SECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Returns what the end of a call means. */
  SessionGatewayException failure(Status status, @Nullable Metadata trailers, @Nullable Sent sent) {
    RunState ifUnsaid = null;
    if (sent != null) {
      ifUnsaid = sent.isOnItsWay ? RunState.UNKNOWN : RunState.NOT_STARTED;
    }
    SessionGatewayException error = Errors.from(status, trailers, ifUnsaid);
    if (error.details() == null && closed) {
      return Operation.cancelled("the client was closed during the request", ifUnsaid);
    }
    if (status.getCode() == Status.Code.UNKNOWN
        && status.getCause() instanceof ClosedChannelException) {
      // So gRPC calls a connection that broke before it could look at why.
      return Errors.from(
          Status.UNAVAILABLE
              .withDescription("the connection was closed")
              .withCause(status.getCause()),
          null,
          ifUnsaid);
    }
    if (error.details() == null && status.getCode() == Status.Code.CANCELLED) {
      // Nobody here cancelled it: a server that is stopped answers so what it had not yet looked
      // at.
      return Errors.transport(
          Status.Code.UNAVAILABLE, "the server went away without an answer", ifUnsaid);
    }
    return error;
  }

  private <Q, R> CompletableFuture<R> unary(
      MethodDescriptor<Q, R> method, Q request, Budget budget, @Nullable Sent sent) {
    Reader<R> reader = start(method, request, budget, sent);
    Operation<R> answer = new Operation<>();
    answer.whenComplete((value, error) -> reader.cancel());
    answer.after(
        reader.next(),
        (value, error) -> {
          if (error != null) {
            answer.completeExceptionally(error);
            return;
          }
          // The status comes behind the answer, and may still be an error.
          answer.after(
              reader.next(),
              (none, late) -> {
                if (late == null && value == null) {
                  late =
                      reader.failure(Status.UNAVAILABLE.withDescription("an empty answer"), null);
                }
                answer.end(value, late);
              });
        });
    return answer;
  }

  private <Q, R> Reader<R> start(
      MethodDescriptor<Q, R> method, Q request, Budget budget, @Nullable Sent sent) {
    if (closed) {
      throw new IllegalStateException("the client is closed");
    }
    wakeUp();
    CallOptions options = CallOptions.DEFAULT.withDeadline(budget.deadline());
    if (sent != null) {
      options = options.withStreamTracerFactory(sent);
    }
    Reader<R> reader = new Reader<>(this, sent, budget.context());
    CallOptions finished = options;
    budget.context().run(() -> reader.start(channel.newCall(method, finished), request));
    return reader;
  }

  private void wakeUp() {
    // gRPC waits up to two minutes before it tries a broken connection again, and refuses requests
    // meanwhile. Each request tries anew instead, so that a gateway that is back is found at once.
    if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
      channel.enterIdle();
    }
  }

  /** Tells whether a request has left this process: its headers go first. */
  static final class Sent extends ClientStreamTracer.Factory {
    private volatile boolean isOnItsWay;

    @Override
    public ClientStreamTracer newClientStreamTracer(
        ClientStreamTracer.StreamInfo info, Metadata headers) {
      return new ClientStreamTracer() {
        @Override
        public void outboundHeaders() {
          isOnItsWay = true;
        }
      };
    }
  }
}
