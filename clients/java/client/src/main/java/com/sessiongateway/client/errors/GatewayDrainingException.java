package com.sessiongateway.client.errors;

/**
 * GATEWAY_DRAINING: The gateway is shutting down and took nothing. Thrown after the client has
 * tried again a few times.
 */
public final class GatewayDrainingException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  GatewayDrainingException(Failure failure) {
    super(failure);
  }
}
