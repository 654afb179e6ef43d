package com.sessiongateway.client.errors;

/** APP_NOT_FOUND: No app of this name is deployed. */
public final class AppNotFoundException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  AppNotFoundException(Failure failure) {
    super(failure);
  }
}
