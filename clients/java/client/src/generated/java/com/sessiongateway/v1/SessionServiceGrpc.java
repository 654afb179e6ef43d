package com.sessiongateway.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Calls functions of apps, and looks after sessions. Every error carries google.rpc.ErrorInfo and ErrorDetail: docs/errors.md.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class SessionServiceGrpc {

  private SessionServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "sessiongateway.v1.SessionService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<com.sessiongateway.v1.RunRequest,
      com.sessiongateway.v1.RunResponse> getRunMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Run",
      requestType = com.sessiongateway.v1.RunRequest.class,
      responseType = com.sessiongateway.v1.RunResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<com.sessiongateway.v1.RunRequest,
      com.sessiongateway.v1.RunResponse> getRunMethod() {
    io.grpc.MethodDescriptor<com.sessiongateway.v1.RunRequest, com.sessiongateway.v1.RunResponse> getRunMethod;
    if ((getRunMethod = SessionServiceGrpc.getRunMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getRunMethod = SessionServiceGrpc.getRunMethod) == null) {
          SessionServiceGrpc.getRunMethod = getRunMethod =
              io.grpc.MethodDescriptor.<com.sessiongateway.v1.RunRequest, com.sessiongateway.v1.RunResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Run"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.RunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.RunResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("Run"))
              .build();
        }
      }
    }
    return getRunMethod;
  }

  private static volatile io.grpc.MethodDescriptor<com.sessiongateway.v1.RunRequest,
      com.sessiongateway.v1.RunStreamResponse> getRunStreamMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RunStream",
      requestType = com.sessiongateway.v1.RunRequest.class,
      responseType = com.sessiongateway.v1.RunStreamResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<com.sessiongateway.v1.RunRequest,
      com.sessiongateway.v1.RunStreamResponse> getRunStreamMethod() {
    io.grpc.MethodDescriptor<com.sessiongateway.v1.RunRequest, com.sessiongateway.v1.RunStreamResponse> getRunStreamMethod;
    if ((getRunStreamMethod = SessionServiceGrpc.getRunStreamMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getRunStreamMethod = SessionServiceGrpc.getRunStreamMethod) == null) {
          SessionServiceGrpc.getRunStreamMethod = getRunStreamMethod =
              io.grpc.MethodDescriptor.<com.sessiongateway.v1.RunRequest, com.sessiongateway.v1.RunStreamResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RunStream"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.RunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.RunStreamResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("RunStream"))
              .build();
        }
      }
    }
    return getRunStreamMethod;
  }

  private static volatile io.grpc.MethodDescriptor<com.sessiongateway.v1.GetSessionRequest,
      com.sessiongateway.v1.GetSessionResponse> getGetSessionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetSession",
      requestType = com.sessiongateway.v1.GetSessionRequest.class,
      responseType = com.sessiongateway.v1.GetSessionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<com.sessiongateway.v1.GetSessionRequest,
      com.sessiongateway.v1.GetSessionResponse> getGetSessionMethod() {
    io.grpc.MethodDescriptor<com.sessiongateway.v1.GetSessionRequest, com.sessiongateway.v1.GetSessionResponse> getGetSessionMethod;
    if ((getGetSessionMethod = SessionServiceGrpc.getGetSessionMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getGetSessionMethod = SessionServiceGrpc.getGetSessionMethod) == null) {
          SessionServiceGrpc.getGetSessionMethod = getGetSessionMethod =
              io.grpc.MethodDescriptor.<com.sessiongateway.v1.GetSessionRequest, com.sessiongateway.v1.GetSessionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetSession"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.GetSessionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.GetSessionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("GetSession"))
              .build();
        }
      }
    }
    return getGetSessionMethod;
  }

  private static volatile io.grpc.MethodDescriptor<com.sessiongateway.v1.ListSessionsRequest,
      com.sessiongateway.v1.ListSessionsResponse> getListSessionsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListSessions",
      requestType = com.sessiongateway.v1.ListSessionsRequest.class,
      responseType = com.sessiongateway.v1.ListSessionsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<com.sessiongateway.v1.ListSessionsRequest,
      com.sessiongateway.v1.ListSessionsResponse> getListSessionsMethod() {
    io.grpc.MethodDescriptor<com.sessiongateway.v1.ListSessionsRequest, com.sessiongateway.v1.ListSessionsResponse> getListSessionsMethod;
    if ((getListSessionsMethod = SessionServiceGrpc.getListSessionsMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getListSessionsMethod = SessionServiceGrpc.getListSessionsMethod) == null) {
          SessionServiceGrpc.getListSessionsMethod = getListSessionsMethod =
              io.grpc.MethodDescriptor.<com.sessiongateway.v1.ListSessionsRequest, com.sessiongateway.v1.ListSessionsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListSessions"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.ListSessionsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.ListSessionsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("ListSessions"))
              .build();
        }
      }
    }
    return getListSessionsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<com.sessiongateway.v1.KeepaliveRequest,
      com.sessiongateway.v1.KeepaliveResponse> getKeepaliveMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Keepalive",
      requestType = com.sessiongateway.v1.KeepaliveRequest.class,
      responseType = com.sessiongateway.v1.KeepaliveResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<com.sessiongateway.v1.KeepaliveRequest,
      com.sessiongateway.v1.KeepaliveResponse> getKeepaliveMethod() {
    io.grpc.MethodDescriptor<com.sessiongateway.v1.KeepaliveRequest, com.sessiongateway.v1.KeepaliveResponse> getKeepaliveMethod;
    if ((getKeepaliveMethod = SessionServiceGrpc.getKeepaliveMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getKeepaliveMethod = SessionServiceGrpc.getKeepaliveMethod) == null) {
          SessionServiceGrpc.getKeepaliveMethod = getKeepaliveMethod =
              io.grpc.MethodDescriptor.<com.sessiongateway.v1.KeepaliveRequest, com.sessiongateway.v1.KeepaliveResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Keepalive"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.KeepaliveRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.KeepaliveResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("Keepalive"))
              .build();
        }
      }
    }
    return getKeepaliveMethod;
  }

  private static volatile io.grpc.MethodDescriptor<com.sessiongateway.v1.StreamKeepaliveRequest,
      com.sessiongateway.v1.StreamKeepaliveResponse> getStreamKeepaliveMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "StreamKeepalive",
      requestType = com.sessiongateway.v1.StreamKeepaliveRequest.class,
      responseType = com.sessiongateway.v1.StreamKeepaliveResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<com.sessiongateway.v1.StreamKeepaliveRequest,
      com.sessiongateway.v1.StreamKeepaliveResponse> getStreamKeepaliveMethod() {
    io.grpc.MethodDescriptor<com.sessiongateway.v1.StreamKeepaliveRequest, com.sessiongateway.v1.StreamKeepaliveResponse> getStreamKeepaliveMethod;
    if ((getStreamKeepaliveMethod = SessionServiceGrpc.getStreamKeepaliveMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getStreamKeepaliveMethod = SessionServiceGrpc.getStreamKeepaliveMethod) == null) {
          SessionServiceGrpc.getStreamKeepaliveMethod = getStreamKeepaliveMethod =
              io.grpc.MethodDescriptor.<com.sessiongateway.v1.StreamKeepaliveRequest, com.sessiongateway.v1.StreamKeepaliveResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "StreamKeepalive"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.StreamKeepaliveRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.StreamKeepaliveResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("StreamKeepalive"))
              .build();
        }
      }
    }
    return getStreamKeepaliveMethod;
  }

  private static volatile io.grpc.MethodDescriptor<com.sessiongateway.v1.WatchSessionsRequest,
      com.sessiongateway.v1.WatchSessionsResponse> getWatchSessionsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchSessions",
      requestType = com.sessiongateway.v1.WatchSessionsRequest.class,
      responseType = com.sessiongateway.v1.WatchSessionsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<com.sessiongateway.v1.WatchSessionsRequest,
      com.sessiongateway.v1.WatchSessionsResponse> getWatchSessionsMethod() {
    io.grpc.MethodDescriptor<com.sessiongateway.v1.WatchSessionsRequest, com.sessiongateway.v1.WatchSessionsResponse> getWatchSessionsMethod;
    if ((getWatchSessionsMethod = SessionServiceGrpc.getWatchSessionsMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getWatchSessionsMethod = SessionServiceGrpc.getWatchSessionsMethod) == null) {
          SessionServiceGrpc.getWatchSessionsMethod = getWatchSessionsMethod =
              io.grpc.MethodDescriptor.<com.sessiongateway.v1.WatchSessionsRequest, com.sessiongateway.v1.WatchSessionsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchSessions"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.WatchSessionsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.WatchSessionsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("WatchSessions"))
              .build();
        }
      }
    }
    return getWatchSessionsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<com.sessiongateway.v1.EndSessionRequest,
      com.sessiongateway.v1.EndSessionResponse> getEndSessionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "EndSession",
      requestType = com.sessiongateway.v1.EndSessionRequest.class,
      responseType = com.sessiongateway.v1.EndSessionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<com.sessiongateway.v1.EndSessionRequest,
      com.sessiongateway.v1.EndSessionResponse> getEndSessionMethod() {
    io.grpc.MethodDescriptor<com.sessiongateway.v1.EndSessionRequest, com.sessiongateway.v1.EndSessionResponse> getEndSessionMethod;
    if ((getEndSessionMethod = SessionServiceGrpc.getEndSessionMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getEndSessionMethod = SessionServiceGrpc.getEndSessionMethod) == null) {
          SessionServiceGrpc.getEndSessionMethod = getEndSessionMethod =
              io.grpc.MethodDescriptor.<com.sessiongateway.v1.EndSessionRequest, com.sessiongateway.v1.EndSessionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "EndSession"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.EndSessionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  com.sessiongateway.v1.EndSessionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("EndSession"))
              .build();
        }
      }
    }
    return getEndSessionMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static SessionServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SessionServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SessionServiceStub>() {
        @java.lang.Override
        public SessionServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SessionServiceStub(channel, callOptions);
        }
      };
    return SessionServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static SessionServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SessionServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SessionServiceBlockingV2Stub>() {
        @java.lang.Override
        public SessionServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SessionServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return SessionServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static SessionServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SessionServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SessionServiceBlockingStub>() {
        @java.lang.Override
        public SessionServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SessionServiceBlockingStub(channel, callOptions);
        }
      };
    return SessionServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static SessionServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SessionServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SessionServiceFutureStub>() {
        @java.lang.Override
        public SessionServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SessionServiceFutureStub(channel, callOptions);
        }
      };
    return SessionServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Calls functions of apps, and looks after sessions. Every error carries google.rpc.ErrorInfo and ErrorDetail: docs/errors.md.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Calls one function of an app: on a shared worker, in a new session, or in an existing one.
     * Errors: every ErrorCode. Each says in run_state whether the call ran.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    default void run(com.sessiongateway.v1.RunRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.RunResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRunMethod(), responseObserver);
    }

    /**
     * <pre>
     * Calls one function as Run does, and sends its partial outputs as they come: whatever a generator yields. The last
     * message is the result, always and exactly one; a stream without it has failed. A reader that is slow slows the
     * function. A function that is no generator has a result only; and Run of a generator answers with its result alone.
     * A repeat with the same request_id gets the result, without the partial outputs.
     * Errors: every ErrorCode. Each says in run_state whether the call ran.
     * What is asked for is the same as in Run, and so is the message:
     * buf:lint:ignore RPC_REQUEST_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    default void runStream(com.sessiongateway.v1.RunRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.RunStreamResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRunStreamMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns a session as it is now, also one that has ended or expired, until its record is purged. Does not
     * extend its life.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    default void getSession(com.sessiongateway.v1.GetSessionRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.GetSessionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetSessionMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the caller's sessions, the newest first. A walk over the pages neither repeats nor skips a session that was
     * there when it began, whatever comes and goes meanwhile.
     * Errors: INVALID_REQUEST.
     * </pre>
     */
    default void listSessions(com.sessiongateway.v1.ListSessionsRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.ListSessionsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListSessionsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Sets a session's expires_at to now plus its timeout, without a call.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND, SESSION_EXPIRED, SESSION_ENDED.
     * </pre>
     */
    default void keepalive(com.sessiongateway.v1.KeepaliveRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.KeepaliveResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getKeepaliveMethod(), responseObserver);
    }

    /**
     * <pre>
     * Keepalive for many sessions on one stream. Each session id gets one answer: the session, or the error that
     * Keepalive would have given, in band; with `batch` the answers of many ids travel in one message. The gateway also sends, unasked, the error of a session on the stream when it
     * ends or expires. The stream itself ends when the caller closes its side.
     * Errors: INVALID_REQUEST (more than 1000 ids in a message, more than 10000 sessions on the stream).
     * </pre>
     */
    default io.grpc.stub.StreamObserver<com.sessiongateway.v1.StreamKeepaliveRequest> streamKeepalive(
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.StreamKeepaliveResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getStreamKeepaliveMethod(), responseObserver);
    }

    /**
     * <pre>
     * Tells of each change in the caller's sessions from now on, or from where an earlier watch broke off: each session
     * that begins, ends, expires or loses its worker, in the order in which that happened, without gaps or repeats.
     * The first message says at once where the watch begins (WATCHING); the stream ends when the caller cancels it, or
     * with GATEWAY_DRAINING. Each message has a resume_token, which stays good across restarts of the gateway for as long
     * as finished sessions stay readable.
     * Errors: INVALID_REQUEST (resume_token: not one of this gateway's, or too old), GATEWAY_DRAINING, STORE_UNAVAILABLE.
     * </pre>
     */
    default void watchSessions(com.sessiongateway.v1.WatchSessionsRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.WatchSessionsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchSessionsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Ends a session and releases its worker at once; a running call is cancelled. A session that has already ended or
     * expired is returned as it is.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    default void endSession(com.sessiongateway.v1.EndSessionRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.EndSessionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getEndSessionMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service SessionService.
   * <pre>
   * Calls functions of apps, and looks after sessions. Every error carries google.rpc.ErrorInfo and ErrorDetail: docs/errors.md.
   * </pre>
   */
  public static abstract class SessionServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return SessionServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service SessionService.
   * <pre>
   * Calls functions of apps, and looks after sessions. Every error carries google.rpc.ErrorInfo and ErrorDetail: docs/errors.md.
   * </pre>
   */
  public static final class SessionServiceStub
      extends io.grpc.stub.AbstractAsyncStub<SessionServiceStub> {
    private SessionServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SessionServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SessionServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Calls one function of an app: on a shared worker, in a new session, or in an existing one.
     * Errors: every ErrorCode. Each says in run_state whether the call ran.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public void run(com.sessiongateway.v1.RunRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.RunResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRunMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Calls one function as Run does, and sends its partial outputs as they come: whatever a generator yields. The last
     * message is the result, always and exactly one; a stream without it has failed. A reader that is slow slows the
     * function. A function that is no generator has a result only; and Run of a generator answers with its result alone.
     * A repeat with the same request_id gets the result, without the partial outputs.
     * Errors: every ErrorCode. Each says in run_state whether the call ran.
     * What is asked for is the same as in Run, and so is the message:
     * buf:lint:ignore RPC_REQUEST_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public void runStream(com.sessiongateway.v1.RunRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.RunStreamResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getRunStreamMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns a session as it is now, also one that has ended or expired, until its record is purged. Does not
     * extend its life.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    public void getSession(com.sessiongateway.v1.GetSessionRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.GetSessionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetSessionMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the caller's sessions, the newest first. A walk over the pages neither repeats nor skips a session that was
     * there when it began, whatever comes and goes meanwhile.
     * Errors: INVALID_REQUEST.
     * </pre>
     */
    public void listSessions(com.sessiongateway.v1.ListSessionsRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.ListSessionsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListSessionsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Sets a session's expires_at to now plus its timeout, without a call.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND, SESSION_EXPIRED, SESSION_ENDED.
     * </pre>
     */
    public void keepalive(com.sessiongateway.v1.KeepaliveRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.KeepaliveResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getKeepaliveMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Keepalive for many sessions on one stream. Each session id gets one answer: the session, or the error that
     * Keepalive would have given, in band; with `batch` the answers of many ids travel in one message. The gateway also sends, unasked, the error of a session on the stream when it
     * ends or expires. The stream itself ends when the caller closes its side.
     * Errors: INVALID_REQUEST (more than 1000 ids in a message, more than 10000 sessions on the stream).
     * </pre>
     */
    public io.grpc.stub.StreamObserver<com.sessiongateway.v1.StreamKeepaliveRequest> streamKeepalive(
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.StreamKeepaliveResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getStreamKeepaliveMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Tells of each change in the caller's sessions from now on, or from where an earlier watch broke off: each session
     * that begins, ends, expires or loses its worker, in the order in which that happened, without gaps or repeats.
     * The first message says at once where the watch begins (WATCHING); the stream ends when the caller cancels it, or
     * with GATEWAY_DRAINING. Each message has a resume_token, which stays good across restarts of the gateway for as long
     * as finished sessions stay readable.
     * Errors: INVALID_REQUEST (resume_token: not one of this gateway's, or too old), GATEWAY_DRAINING, STORE_UNAVAILABLE.
     * </pre>
     */
    public void watchSessions(com.sessiongateway.v1.WatchSessionsRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.WatchSessionsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchSessionsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Ends a session and releases its worker at once; a running call is cancelled. A session that has already ended or
     * expired is returned as it is.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    public void endSession(com.sessiongateway.v1.EndSessionRequest request,
        io.grpc.stub.StreamObserver<com.sessiongateway.v1.EndSessionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getEndSessionMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service SessionService.
   * <pre>
   * Calls functions of apps, and looks after sessions. Every error carries google.rpc.ErrorInfo and ErrorDetail: docs/errors.md.
   * </pre>
   */
  public static final class SessionServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<SessionServiceBlockingV2Stub> {
    private SessionServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SessionServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SessionServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Calls one function of an app: on a shared worker, in a new session, or in an existing one.
     * Errors: every ErrorCode. Each says in run_state whether the call ran.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public com.sessiongateway.v1.RunResponse run(com.sessiongateway.v1.RunRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Calls one function as Run does, and sends its partial outputs as they come: whatever a generator yields. The last
     * message is the result, always and exactly one; a stream without it has failed. A reader that is slow slows the
     * function. A function that is no generator has a result only; and Run of a generator answers with its result alone.
     * A repeat with the same request_id gets the result, without the partial outputs.
     * Errors: every ErrorCode. Each says in run_state whether the call ran.
     * What is asked for is the same as in Run, and so is the message:
     * buf:lint:ignore RPC_REQUEST_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, com.sessiongateway.v1.RunStreamResponse>
        runStream(com.sessiongateway.v1.RunRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getRunStreamMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a session as it is now, also one that has ended or expired, until its record is purged. Does not
     * extend its life.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    public com.sessiongateway.v1.GetSessionResponse getSession(com.sessiongateway.v1.GetSessionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the caller's sessions, the newest first. A walk over the pages neither repeats nor skips a session that was
     * there when it began, whatever comes and goes meanwhile.
     * Errors: INVALID_REQUEST.
     * </pre>
     */
    public com.sessiongateway.v1.ListSessionsResponse listSessions(com.sessiongateway.v1.ListSessionsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListSessionsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sets a session's expires_at to now plus its timeout, without a call.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND, SESSION_EXPIRED, SESSION_ENDED.
     * </pre>
     */
    public com.sessiongateway.v1.KeepaliveResponse keepalive(com.sessiongateway.v1.KeepaliveRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getKeepaliveMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Keepalive for many sessions on one stream. Each session id gets one answer: the session, or the error that
     * Keepalive would have given, in band; with `batch` the answers of many ids travel in one message. The gateway also sends, unasked, the error of a session on the stream when it
     * ends or expires. The stream itself ends when the caller closes its side.
     * Errors: INVALID_REQUEST (more than 1000 ids in a message, more than 10000 sessions on the stream).
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<com.sessiongateway.v1.StreamKeepaliveRequest, com.sessiongateway.v1.StreamKeepaliveResponse>
        streamKeepalive() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getStreamKeepaliveMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Tells of each change in the caller's sessions from now on, or from where an earlier watch broke off: each session
     * that begins, ends, expires or loses its worker, in the order in which that happened, without gaps or repeats.
     * The first message says at once where the watch begins (WATCHING); the stream ends when the caller cancels it, or
     * with GATEWAY_DRAINING. Each message has a resume_token, which stays good across restarts of the gateway for as long
     * as finished sessions stay readable.
     * Errors: INVALID_REQUEST (resume_token: not one of this gateway's, or too old), GATEWAY_DRAINING, STORE_UNAVAILABLE.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, com.sessiongateway.v1.WatchSessionsResponse>
        watchSessions(com.sessiongateway.v1.WatchSessionsRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchSessionsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends a session and releases its worker at once; a running call is cancelled. A session that has already ended or
     * expired is returned as it is.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    public com.sessiongateway.v1.EndSessionResponse endSession(com.sessiongateway.v1.EndSessionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getEndSessionMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service SessionService.
   * <pre>
   * Calls functions of apps, and looks after sessions. Every error carries google.rpc.ErrorInfo and ErrorDetail: docs/errors.md.
   * </pre>
   */
  public static final class SessionServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<SessionServiceBlockingStub> {
    private SessionServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SessionServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SessionServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Calls one function of an app: on a shared worker, in a new session, or in an existing one.
     * Errors: every ErrorCode. Each says in run_state whether the call ran.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public com.sessiongateway.v1.RunResponse run(com.sessiongateway.v1.RunRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Calls one function as Run does, and sends its partial outputs as they come: whatever a generator yields. The last
     * message is the result, always and exactly one; a stream without it has failed. A reader that is slow slows the
     * function. A function that is no generator has a result only; and Run of a generator answers with its result alone.
     * A repeat with the same request_id gets the result, without the partial outputs.
     * Errors: every ErrorCode. Each says in run_state whether the call ran.
     * What is asked for is the same as in Run, and so is the message:
     * buf:lint:ignore RPC_REQUEST_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public java.util.Iterator<com.sessiongateway.v1.RunStreamResponse> runStream(
        com.sessiongateway.v1.RunRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getRunStreamMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a session as it is now, also one that has ended or expired, until its record is purged. Does not
     * extend its life.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    public com.sessiongateway.v1.GetSessionResponse getSession(com.sessiongateway.v1.GetSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the caller's sessions, the newest first. A walk over the pages neither repeats nor skips a session that was
     * there when it began, whatever comes and goes meanwhile.
     * Errors: INVALID_REQUEST.
     * </pre>
     */
    public com.sessiongateway.v1.ListSessionsResponse listSessions(com.sessiongateway.v1.ListSessionsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListSessionsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sets a session's expires_at to now plus its timeout, without a call.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND, SESSION_EXPIRED, SESSION_ENDED.
     * </pre>
     */
    public com.sessiongateway.v1.KeepaliveResponse keepalive(com.sessiongateway.v1.KeepaliveRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getKeepaliveMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Tells of each change in the caller's sessions from now on, or from where an earlier watch broke off: each session
     * that begins, ends, expires or loses its worker, in the order in which that happened, without gaps or repeats.
     * The first message says at once where the watch begins (WATCHING); the stream ends when the caller cancels it, or
     * with GATEWAY_DRAINING. Each message has a resume_token, which stays good across restarts of the gateway for as long
     * as finished sessions stay readable.
     * Errors: INVALID_REQUEST (resume_token: not one of this gateway's, or too old), GATEWAY_DRAINING, STORE_UNAVAILABLE.
     * </pre>
     */
    public java.util.Iterator<com.sessiongateway.v1.WatchSessionsResponse> watchSessions(
        com.sessiongateway.v1.WatchSessionsRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchSessionsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends a session and releases its worker at once; a running call is cancelled. A session that has already ended or
     * expired is returned as it is.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    public com.sessiongateway.v1.EndSessionResponse endSession(com.sessiongateway.v1.EndSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getEndSessionMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service SessionService.
   * <pre>
   * Calls functions of apps, and looks after sessions. Every error carries google.rpc.ErrorInfo and ErrorDetail: docs/errors.md.
   * </pre>
   */
  public static final class SessionServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<SessionServiceFutureStub> {
    private SessionServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SessionServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SessionServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Calls one function of an app: on a shared worker, in a new session, or in an existing one.
     * Errors: every ErrorCode. Each says in run_state whether the call ran.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<com.sessiongateway.v1.RunResponse> run(
        com.sessiongateway.v1.RunRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRunMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns a session as it is now, also one that has ended or expired, until its record is purged. Does not
     * extend its life.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<com.sessiongateway.v1.GetSessionResponse> getSession(
        com.sessiongateway.v1.GetSessionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetSessionMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the caller's sessions, the newest first. A walk over the pages neither repeats nor skips a session that was
     * there when it began, whatever comes and goes meanwhile.
     * Errors: INVALID_REQUEST.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<com.sessiongateway.v1.ListSessionsResponse> listSessions(
        com.sessiongateway.v1.ListSessionsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListSessionsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Sets a session's expires_at to now plus its timeout, without a call.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND, SESSION_EXPIRED, SESSION_ENDED.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<com.sessiongateway.v1.KeepaliveResponse> keepalive(
        com.sessiongateway.v1.KeepaliveRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getKeepaliveMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Ends a session and releases its worker at once; a running call is cancelled. A session that has already ended or
     * expired is returned as it is.
     * Errors: INVALID_REQUEST, SESSION_NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<com.sessiongateway.v1.EndSessionResponse> endSession(
        com.sessiongateway.v1.EndSessionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getEndSessionMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_RUN = 0;
  private static final int METHODID_RUN_STREAM = 1;
  private static final int METHODID_GET_SESSION = 2;
  private static final int METHODID_LIST_SESSIONS = 3;
  private static final int METHODID_KEEPALIVE = 4;
  private static final int METHODID_WATCH_SESSIONS = 5;
  private static final int METHODID_END_SESSION = 6;
  private static final int METHODID_STREAM_KEEPALIVE = 7;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_RUN:
          serviceImpl.run((com.sessiongateway.v1.RunRequest) request,
              (io.grpc.stub.StreamObserver<com.sessiongateway.v1.RunResponse>) responseObserver);
          break;
        case METHODID_RUN_STREAM:
          serviceImpl.runStream((com.sessiongateway.v1.RunRequest) request,
              (io.grpc.stub.StreamObserver<com.sessiongateway.v1.RunStreamResponse>) responseObserver);
          break;
        case METHODID_GET_SESSION:
          serviceImpl.getSession((com.sessiongateway.v1.GetSessionRequest) request,
              (io.grpc.stub.StreamObserver<com.sessiongateway.v1.GetSessionResponse>) responseObserver);
          break;
        case METHODID_LIST_SESSIONS:
          serviceImpl.listSessions((com.sessiongateway.v1.ListSessionsRequest) request,
              (io.grpc.stub.StreamObserver<com.sessiongateway.v1.ListSessionsResponse>) responseObserver);
          break;
        case METHODID_KEEPALIVE:
          serviceImpl.keepalive((com.sessiongateway.v1.KeepaliveRequest) request,
              (io.grpc.stub.StreamObserver<com.sessiongateway.v1.KeepaliveResponse>) responseObserver);
          break;
        case METHODID_WATCH_SESSIONS:
          serviceImpl.watchSessions((com.sessiongateway.v1.WatchSessionsRequest) request,
              (io.grpc.stub.StreamObserver<com.sessiongateway.v1.WatchSessionsResponse>) responseObserver);
          break;
        case METHODID_END_SESSION:
          serviceImpl.endSession((com.sessiongateway.v1.EndSessionRequest) request,
              (io.grpc.stub.StreamObserver<com.sessiongateway.v1.EndSessionResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_STREAM_KEEPALIVE:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.streamKeepalive(
              (io.grpc.stub.StreamObserver<com.sessiongateway.v1.StreamKeepaliveResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getRunMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              com.sessiongateway.v1.RunRequest,
              com.sessiongateway.v1.RunResponse>(
                service, METHODID_RUN)))
        .addMethod(
          getRunStreamMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              com.sessiongateway.v1.RunRequest,
              com.sessiongateway.v1.RunStreamResponse>(
                service, METHODID_RUN_STREAM)))
        .addMethod(
          getGetSessionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              com.sessiongateway.v1.GetSessionRequest,
              com.sessiongateway.v1.GetSessionResponse>(
                service, METHODID_GET_SESSION)))
        .addMethod(
          getListSessionsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              com.sessiongateway.v1.ListSessionsRequest,
              com.sessiongateway.v1.ListSessionsResponse>(
                service, METHODID_LIST_SESSIONS)))
        .addMethod(
          getKeepaliveMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              com.sessiongateway.v1.KeepaliveRequest,
              com.sessiongateway.v1.KeepaliveResponse>(
                service, METHODID_KEEPALIVE)))
        .addMethod(
          getStreamKeepaliveMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              com.sessiongateway.v1.StreamKeepaliveRequest,
              com.sessiongateway.v1.StreamKeepaliveResponse>(
                service, METHODID_STREAM_KEEPALIVE)))
        .addMethod(
          getWatchSessionsMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              com.sessiongateway.v1.WatchSessionsRequest,
              com.sessiongateway.v1.WatchSessionsResponse>(
                service, METHODID_WATCH_SESSIONS)))
        .addMethod(
          getEndSessionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              com.sessiongateway.v1.EndSessionRequest,
              com.sessiongateway.v1.EndSessionResponse>(
                service, METHODID_END_SESSION)))
        .build();
  }

  private static abstract class SessionServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    SessionServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return com.sessiongateway.v1.SessionsProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("SessionService");
    }
  }

  private static final class SessionServiceFileDescriptorSupplier
      extends SessionServiceBaseDescriptorSupplier {
    SessionServiceFileDescriptorSupplier() {}
  }

  private static final class SessionServiceMethodDescriptorSupplier
      extends SessionServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    SessionServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (SessionServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new SessionServiceFileDescriptorSupplier())
              .addMethod(getRunMethod())
              .addMethod(getRunStreamMethod())
              .addMethod(getGetSessionMethod())
              .addMethod(getListSessionsMethod())
              .addMethod(getKeepaliveMethod())
              .addMethod(getStreamKeepaliveMethod())
              .addMethod(getWatchSessionsMethod())
              .addMethod(getEndSessionMethod())
              .build();
        }
      }
    }
    return result;
  }
}
