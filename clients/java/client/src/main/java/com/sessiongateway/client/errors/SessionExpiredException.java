package com.sessiongateway.client.errors;

/** SESSION_EXPIRED: The session was idle for longer than its timeout; its state is gone. */
public final class SessionExpiredException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  SessionExpiredException(Failure failure) {
    super(failure);
  }
}
