package com.sessiongateway.client.errors;

import com.sessiongateway.v1.ErrorDetail;
import io.grpc.Status;
import java.io.Serializable;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Everything that is known of a failed request.
 *
 * @param code the gateway's name for it, or the gRPC name of a bare status
 * @param message the same for people
 * @param grpcStatus null for an error that came in the middle of a stream
 * @param detail the gateway's typed detail; what the client itself knows, for an error of its own
 *     making
 * @param isFromGateway whether the gateway made the detail
 * @param metadata every variable word of the message by its key
 * @param violations each wrong field
 * @param retryAfter how long to wait before sending again
 */
@SuppressWarnings("serial") // List and Map are immutable ones of the JDK, which are serializable.
record Failure(
    String code,
    String message,
    Status.@Nullable Code grpcStatus,
    ErrorDetail detail,
    boolean isFromGateway,
    Map<String, String> metadata,
    List<FieldViolation> violations,
    @Nullable Duration retryAfter)
    implements Serializable {

  /** Returns a failure that no gateway told of. */
  static Failure local(
      String code, String message, Status.@Nullable Code grpcStatus, ErrorDetail detail) {
    return new Failure(code, message, grpcStatus, detail, false, Map.of(), List.of(), null);
  }

  /** Returns the same with another detail. */
  Failure with(ErrorDetail other) {
    return new Failure(
        code, message, grpcStatus, other, isFromGateway, metadata, violations, retryAfter);
  }
}
