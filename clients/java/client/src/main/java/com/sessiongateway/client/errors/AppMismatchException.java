package com.sessiongateway.client.errors;

/**
 * APP_MISMATCH: The session belongs to another app: compare {@link #sessionApp()} with {@link
 * #requestedApp()}.
 */
public final class AppMismatchException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  AppMismatchException(Failure failure) {
    super(failure);
  }
}
