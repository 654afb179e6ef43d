package com.sessiongateway.client.errors;

/** NO_WORKER_AVAILABLE: No worker became free in time. */
public final class NoWorkerAvailableException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  NoWorkerAvailableException(Failure failure) {
    super(failure);
  }
}
