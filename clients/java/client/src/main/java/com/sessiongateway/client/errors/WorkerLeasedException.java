package com.sessiongateway.client.errors;

/** WORKER_LEASED: The worker that was asked for is leased to another session. */
public final class WorkerLeasedException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  WorkerLeasedException(Failure failure) {
    super(failure);
  }
}
