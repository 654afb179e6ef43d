package com.sessiongateway.client.errors;

/** FUNCTION_NOT_FOUND: The app has no such function, or none was named and it has no default. */
public final class FunctionNotFoundException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  FunctionNotFoundException(Failure failure) {
    super(failure);
  }
}
