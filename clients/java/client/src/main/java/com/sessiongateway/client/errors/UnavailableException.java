package com.sessiongateway.client.errors;

/**
 * UNAVAILABLE: The gateway cannot be reached, or the connection broke. A run is not sent again by
 * the client, since it may have been applied: its run state is {@link RunState#NOT_STARTED} only if
 * it was never sent.
 */
public final class UnavailableException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  UnavailableException(Failure failure) {
    super(failure);
  }
}
