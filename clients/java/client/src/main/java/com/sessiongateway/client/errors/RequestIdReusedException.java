package com.sessiongateway.client.errors;

/** REQUEST_ID_REUSED: The request id was used before for a request with another content. */
public final class RequestIdReusedException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  RequestIdReusedException(Failure failure) {
    super(failure);
  }
}
