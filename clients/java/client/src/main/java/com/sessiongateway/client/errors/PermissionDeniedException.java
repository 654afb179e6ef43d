package com.sessiongateway.client.errors;

/** PERMISSION_DENIED: The API key does not allow this. */
public final class PermissionDeniedException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  PermissionDeniedException(Failure failure) {
    super(failure);
  }
}
