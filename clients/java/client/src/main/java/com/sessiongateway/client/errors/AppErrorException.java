package com.sessiongateway.client.errors;

/**
 * APP_ERROR: The function raised, {@link #appFailure()} says what. The session lives on, unless
 * this call was to open it.
 */
public final class AppErrorException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  AppErrorException(Failure failure) {
    super(failure);
  }
}
