package com.sessiongateway.client.errors;

/** VERSION_NOT_FOUND: The app is deployed, but not in this version. */
public final class VersionNotFoundException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  VersionNotFoundException(Failure failure) {
    super(failure);
  }
}
