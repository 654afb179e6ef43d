package com.sessiongateway.client.errors;

/** SESSION_ENDED: The session was ended, {@link #endReason()} says by what; its state is gone. */
public final class SessionEndedException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  SessionEndedException(Failure failure) {
    super(failure);
  }
}
