package com.sessiongateway.client.errors;

/**
 * INTERNAL: The gateway failed in a way that it did not foresee; {@link #errorId()} finds the entry
 * in its log.
 */
public final class InternalException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  InternalException(Failure failure) {
    super(failure);
  }
}
