package com.sessiongateway.client.errors;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.sessiongateway.v1.ErrorCode;
import com.sessiongateway.v1.ErrorDetail;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.DateTimeException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * From a gRPC status to an exception: the only place that does it. Programs that use the generated
 * stubs without the client can use {@link #from(StatusRuntimeException)}, too.
 */
public final class Errors {
  private static final String DOMAIN = "sessiongateway";
  private static final String PREFIX = "ERROR_CODE_";
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private Errors() {}

  /** Returns what a failed RPC means. */
  public static SessionGatewayException from(StatusRuntimeException error) {
    return from(error.getStatus(), error.getTrailers(), null);
  }

  /**
   * Returns what a failed RPC means.
   *
   * @param ifUnsaid the run state to assume where no gateway tells it; null if the RPC was no run
   */
  public static SessionGatewayException from(
      Status status, @Nullable Metadata trailers, @Nullable RunState ifUnsaid) {
    String message = status.getDescription() == null ? "" : status.getDescription();
    Parts parts = Parts.of(trailers == null ? null : trailers.get(DETAILS));
    if (!parts.isFromGateway()) {
      Throwable cause = status.getCause();
      if (cause != null && cause.getMessage() != null && !message.contains(cause.getMessage())) {
        // gRPC's own sentence is often no more than "io exception".
        message = message + ": " + cause.getMessage();
      }
      return withCause(transport(status.getCode(), message, ifUnsaid), cause);
    }
    ErrorDetail detail = parts.detail == null ? ErrorDetail.getDefaultInstance() : parts.detail;
    return Kind.exception(
        new Failure(
            codeName(detail.getCodeValue(), parts.info.getReason()),
            message.isEmpty() ? detail.getMessage() : message,
            status.getCode(),
            detail,
            parts.detail != null,
            Map.copyOf(parts.info.getMetadataMap()),
            parts.violations(),
            parts.retryAfter()));
  }

  /** Returns what an error in the middle of a keepalive stream means. */
  public static SessionGatewayException from(ErrorDetail detail) {
    return Kind.exception(
        new Failure(
            codeName(detail.getCodeValue(), ""),
            detail.getMessage(),
            null,
            detail,
            true,
            Map.of(),
            List.of(),
            detail.hasRetryAfter() ? duration(detail.getRetryAfter()) : null));
  }

  /** Returns the exception of a status that no gateway made. */
  public static SessionGatewayException transport(
      Status.Code code, String message, @Nullable RunState runState) {
    Failure failure = Failure.local(code.name(), message, code, detail(runState, "", ""));
    // The others share names with codes of the gateway, which must not be taken for them.
    return switch (code) {
      case UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED -> Kind.exception(failure);
      default -> new SessionGatewayException(failure);
    };
  }

  /** Returns what a gateway would say, of a request that is not even sent. */
  public static SessionGatewayException local(ErrorCode code, String message) {
    ErrorDetail detail = detail(null, "", "");
    return Kind.exception(Failure.local(codeName(code.getNumber(), ""), message, null, detail));
  }

  /** Returns the exception of an answer that cannot be read. */
  public static SessionGatewayException invalidResponse(
      String message, RunState runState, String sessionId, String callId) {
    return Kind.exception(
        Failure.local("INVALID_RESPONSE", message, null, detail(runState, sessionId, callId)));
  }

  /** Returns the same error for another request, which was not sent because of it. */
  public static SessionGatewayException notStarted(SessionGatewayException error) {
    ErrorDetail detail =
        error.failure().detail().toBuilder()
            .setRunState(com.sessiongateway.v1.RunState.RUN_STATE_NOT_STARTED)
            .build();
    return withCause(Kind.exception(error.failure().with(detail)), error);
  }

  private static ErrorDetail detail(@Nullable RunState runState, String sessionId, String callId) {
    ErrorDetail.Builder detail = ErrorDetail.newBuilder().setSessionId(sessionId).setCallId(callId);
    if (runState != null) {
      detail.setRunState(com.sessiongateway.v1.RunState.valueOf("RUN_STATE_" + runState.name()));
    }
    return detail.build();
  }

  private static String codeName(int number, String reason) {
    ErrorCode code = ErrorCode.forNumber(number);
    if (code != null && number != 0) {
      return code.name().substring(PREFIX.length());
    }
    if (!reason.isEmpty()) {
      return reason;
    }
    return number == 0 ? "UNKNOWN" : "UNKNOWN_" + number;
  }

  private static SessionGatewayException withCause(
      SessionGatewayException error, @Nullable Throwable cause) {
    if (cause != null) {
      error.initCause(cause);
    }
    return error;
  }

  private static @Nullable Duration duration(com.google.protobuf.Duration value) {
    try {
      return Duration.ofSeconds(value.getSeconds(), value.getNanos());
    } catch (DateTimeException | ArithmeticException outOfRange) {
      return null;
    }
  }

  /** The parts of a status that this client understands; each may be missing or broken. */
  private static final class Parts {
    private ErrorInfo info = ErrorInfo.getDefaultInstance();
    private RetryInfo retry = RetryInfo.getDefaultInstance();
    private BadRequest request = BadRequest.getDefaultInstance();
    private @Nullable ErrorDetail detail;

    static Parts of(byte @Nullable [] packed) {
      Parts parts = new Parts();
      if (packed != null) {
        try {
          for (Any any : com.google.rpc.Status.parseFrom(packed).getDetailsList()) {
            parts.add(any);
          }
        } catch (InvalidProtocolBufferException garbage) {
          // Whatever a proxy put there must not hide the status itself.
          return parts;
        }
      }
      return parts;
    }

    private void add(Any any) throws InvalidProtocolBufferException {
      if (any.is(ErrorDetail.class)) {
        detail = any.unpack(ErrorDetail.class);
      } else if (any.is(ErrorInfo.class)) {
        info = any.unpack(ErrorInfo.class);
      } else if (any.is(RetryInfo.class)) {
        retry = any.unpack(RetryInfo.class);
      } else if (any.is(BadRequest.class)) {
        request = any.unpack(BadRequest.class);
      }
    }

    boolean isFromGateway() {
      return detail != null || (info.getDomain().equals(DOMAIN) && !info.getReason().isEmpty());
    }

    List<FieldViolation> violations() {
      return request.getFieldViolationsList().stream()
          .map(each -> new FieldViolation(each.getField(), each.getDescription()))
          .toList();
    }

    @Nullable Duration retryAfter() {
      if (retry.hasRetryDelay()) {
        return duration(retry.getRetryDelay());
      }
      return detail != null && detail.hasRetryAfter() ? duration(detail.getRetryAfter()) : null;
    }
  }
}
