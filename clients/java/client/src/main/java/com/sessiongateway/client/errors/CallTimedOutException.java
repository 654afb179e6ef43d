package com.sessiongateway.client.errors;

/**
 * CALL_TIMED_OUT: The call took longer than its app allows; {@link #endReason()} tells whether the
 * session has ended with it.
 */
public final class CallTimedOutException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  CallTimedOutException(Failure failure) {
    super(failure);
  }
}
