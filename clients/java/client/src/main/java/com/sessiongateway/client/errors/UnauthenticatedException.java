package com.sessiongateway.client.errors;

/** UNAUTHENTICATED: The API key is missing or not valid. */
public final class UnauthenticatedException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  UnauthenticatedException(Failure failure) {
    super(failure);
  }
}
