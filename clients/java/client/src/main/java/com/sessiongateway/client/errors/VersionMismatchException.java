package com.sessiongateway.client.errors;

/**
 * VERSION_MISMATCH: The session belongs to another version of the app: compare {@link
 * #sessionApp()} with {@link #requestedApp()}.
 */
public final class VersionMismatchException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  VersionMismatchException(Failure failure) {
    super(failure);
  }
}
