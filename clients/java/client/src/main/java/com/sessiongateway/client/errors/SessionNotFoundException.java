package com.sessiongateway.client.errors;

/** SESSION_NOT_FOUND: No session has this id, or it belongs to another caller. */
public final class SessionNotFoundException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  SessionNotFoundException(Failure failure) {
    super(failure);
  }
}
