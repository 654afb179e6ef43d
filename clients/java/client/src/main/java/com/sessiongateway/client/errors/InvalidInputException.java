package com.sessiongateway.client.errors;

/**
 * INVALID_INPUT: The app's input type refuses the input; {@link #fieldViolations()} names each
 * place in it.
 */
public final class InvalidInputException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  InvalidInputException(Failure failure) {
    super(failure);
  }
}
