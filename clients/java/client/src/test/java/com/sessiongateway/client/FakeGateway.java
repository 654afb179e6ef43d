package com.sessiongateway.client;

import com.google.protobuf.Any;
import com.sessiongateway.v1.EndSessionRequest;
import com.sessiongateway.v1.EndSessionResponse;
import com.sessiongateway.v1.ErrorCode;
import com.sessiongateway.v1.ErrorDetail;
import com.sessiongateway.v1.RunRequest;
import com.sessiongateway.v1.RunResponse;
import com.sessiongateway.v1.RunState;
import com.sessiongateway.v1.RunStreamResponse;
import com.sessiongateway.v1.SessionServiceGrpc;
import com.sessiongateway.v1.StreamKeepaliveRequest;
import com.sessiongateway.v1.StreamKeepaliveResponse;
import com.sessiongateway.v1.WatchSessionsRequest;
import com.sessiongateway.v1.WatchSessionsResponse;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;

/** A gateway in this process that leaves every request to the test. */
final class FakeGateway extends SessionServiceGrpc.SessionServiceImplBase implements AutoCloseable {
  final BlockingQueue<Asked<RunRequest, RunResponse>> runs = new LinkedBlockingQueue<>();
  final BlockingQueue<Asked<RunRequest, RunStreamResponse>> streams = new LinkedBlockingQueue<>();
  final BlockingQueue<Asked<EndSessionRequest, EndSessionResponse>> ends =
      new LinkedBlockingQueue<>();
  final BlockingQueue<Asked<WatchSessionsRequest, WatchSessionsResponse>> watches =
      new LinkedBlockingQueue<>();
  final BlockingQueue<Asked<StreamKeepaliveRequest, StreamKeepaliveResponse>> renewals =
      new LinkedBlockingQueue<>();
  final FakeTimer timer = new FakeTimer();
  final Pacing pacing = Pacing.of(timer, () -> 1);
  final Transport transport;
  private final Server server;

  FakeGateway() throws IOException {
    String name = UUID.randomUUID().toString();
    // Without threads of its own, so that requests arrive in the order in which they are sent.
    server = InProcessServerBuilder.forName(name).directExecutor().addService(this).build().start();
    transport = new Transport(InProcessChannelBuilder.forName(name).build(), "in this process");
  }

  @Override
  public void run(RunRequest request, StreamObserver<RunResponse> answers) {
    runs.add(Asked.of(request, answers));
  }

  @Override
  public void runStream(RunRequest request, StreamObserver<RunStreamResponse> answers) {
    streams.add(Asked.of(request, answers));
  }

  @Override
  public void watchSessions(
      WatchSessionsRequest request, StreamObserver<WatchSessionsResponse> answers) {
    watches.add(Asked.of(request, answers));
  }

  @Override
  public void endSession(EndSessionRequest request, StreamObserver<EndSessionResponse> answers) {
    ends.add(Asked.of(request, answers));
  }

  @Override
  public StreamObserver<StreamKeepaliveRequest> streamKeepalive(
      StreamObserver<StreamKeepaliveResponse> answers) {
    CompletableFuture<Void> left = Asked.left(answers);
    return new StreamObserver<>() {
      @Override
      public void onNext(StreamKeepaliveRequest request) {
        renewals.add(new Asked<>(request, answers, left));
      }

      @Override
      public void onError(Throwable left) {}

      @Override
      public void onCompleted() {}
    };
  }

  @Override
  public void close() {
    transport.close();
    server.shutdownNow();
    timer.close();
  }

  /** Returns an error of a gateway. */
  static StatusRuntimeException error(Status status, ErrorCode code, RunState state) {
    return error(status, ErrorDetail.newBuilder().setCode(code).setRunState(state).build());
  }

  /** Returns an error of a gateway. */
  static StatusRuntimeException error(Status status, ErrorDetail detail) {
    Metadata trailers = new Metadata();
    trailers.put(
        Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER),
        com.google.rpc.Status.newBuilder().addDetails(Any.pack(detail)).build().toByteArray());
    return new StatusRuntimeException(status, trailers);
  }

  /** A request, the way to answer it, and what completes when its caller has left. */
  record Asked<Q, R>(Q request, StreamObserver<R> answers, CompletableFuture<Void> isLeft) {
    static <Q, R> Asked<Q, R> of(Q request, StreamObserver<R> answers) {
      return new Asked<>(request, answers, left(answers));
    }

    static CompletableFuture<Void> left(StreamObserver<?> answers) {
      CompletableFuture<Void> isLeft = new CompletableFuture<>();
      ((ServerCallStreamObserver<?>) answers).setOnCancelHandler(() -> isLeft.complete(null));
      return isLeft;
    }

    void answer(R answer) {
      answers.onNext(answer);
      answers.onCompleted();
    }
  }
}
