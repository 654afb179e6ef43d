package com.sessiongateway.client.errors;

/** INVALID_REQUEST: Fields of the request are wrong; {@link #fieldViolations()} names every one. */
public final class InvalidRequestException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  InvalidRequestException(Failure failure) {
    super(failure);
  }
}
