package com.sessiongateway.client.errors;

/** SESSION_BUSY: Too many calls wait for the session, or the call's turn did not come in time. */
public final class SessionBusyException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  SessionBusyException(Failure failure) {
    super(failure);
  }
}
