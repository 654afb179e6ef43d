package com.sessiongateway.client.errors;

/**
 * CALL_INTERRUPTED: The gateway was stopped while the call ran. The worker goes on with it, and the
 * session lives on.
 */
public final class CallInterruptedException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  CallInterruptedException(Failure failure) {
    super(failure);
  }
}
