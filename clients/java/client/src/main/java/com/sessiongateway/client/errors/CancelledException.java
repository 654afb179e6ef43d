package com.sessiongateway.client.errors;

/**
 * CANCELLED: The caller cancelled the request: by interrupting the thread that waited for it, by
 * closing its stream or the client, or through the {@link io.grpc.Context} that it was made in.
 */
public final class CancelledException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  CancelledException(Failure failure) {
    super(failure);
  }
}
