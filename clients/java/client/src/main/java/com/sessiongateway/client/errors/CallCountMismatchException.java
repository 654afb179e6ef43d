package com.sessiongateway.client.errors;

/**
 * CALL_COUNT_MISMATCH: The session has had another number of calls than expected: somebody else
 * used it.
 */
public final class CallCountMismatchException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  CallCountMismatchException(Failure failure) {
    super(failure);
  }
}
