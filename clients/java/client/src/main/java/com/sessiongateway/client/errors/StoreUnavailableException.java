package com.sessiongateway.client.errors;

/**
 * STORE_UNAVAILABLE: The gateway cannot use its records at the moment and took nothing. Thrown
 * after the client has tried again a few times.
 */
public final class StoreUnavailableException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  StoreUnavailableException(Failure failure) {
    super(failure);
  }
}
