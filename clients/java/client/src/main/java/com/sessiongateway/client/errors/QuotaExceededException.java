package com.sessiongateway.client.errors;

/** QUOTA_EXCEEDED: A limit of this caller is reached. */
public final class QuotaExceededException extends SessionGatewayException {
  private static final long serialVersionUID = 1L;

  QuotaExceededException(Failure failure) {
    super(failure);
  }
}
