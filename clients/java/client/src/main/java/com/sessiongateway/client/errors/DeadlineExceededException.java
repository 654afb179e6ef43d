package com.sessiongateway.client.errors;

/**
 * DEADLINE_EXCEEDED: The time that the caller gave is over. The run state of a run is {@link
 * RunState#NOT_STARTED} only if it was never sent.
 */
public final class DeadlineExceededException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  DeadlineExceededException(Failure failure) {
    super(failure);
  }
}
