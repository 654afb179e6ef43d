package com.sessiongateway.client.errors;

/** WORKER_NOT_FOUND: No worker of the app has this id, or it is not the session's worker. */
public final class WorkerNotFoundException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  WorkerNotFoundException(Failure failure) {
    super(failure);
  }
}
