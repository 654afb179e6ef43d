package com.sessiongateway.client.errors;

/**
 * WORKER_LOST: The worker process died during the call, and its session with it: see {@link
 * #workerExit()}.
 */
public final class WorkerLostException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  WorkerLostException(Failure failure) {
    super(failure);
  }
}
