package com.sessiongateway.client.errors;

/** APP_START_FAILED: The app could not be started, {@link #appFailure()} says why. */
public final class AppStartFailedException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  AppStartFailedException(Failure failure) {
    super(failure);
  }
}
