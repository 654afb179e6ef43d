package com.sessiongateway.client.errors;

import com.sessiongateway.v1.AppVersion;
import com.sessiongateway.v1.ErrorDetail;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A request failed. Each code has a class of its own below this one; this class itself stands for a
 * code or status that this client does not know.
 *
 * <p>Mistakes that show before anything is sent are {@link IllegalArgumentException}, {@link
 * IllegalStateException} and {@link NullPointerException} instead.
 */
public class SessionGatewayException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final Failure failure;

  SessionGatewayException(Failure failure) {
    super(failure.message().isEmpty() ? failure.code() : failure.code() + ": " + failure.message());
    this.failure = failure;
  }

  /**
   * Returns why, such as "SESSION_EXPIRED". Of a code that this client does not know: the gateway's
   * name for it. Of a status that does not come from a gateway: the gRPC name, such as
   * "UNIMPLEMENTED".
   */
  public final String code() {
    return failure.code();
  }

  /** Returns the sentence for people, without the code. */
  public final String description() {
    return failure.message();
  }

  /** Returns the status of the RPC, or null for an error that came in the middle of a stream. */
  public final Status.@Nullable Code grpcStatus() {
    return failure.grpcStatus();
  }

  /** Returns the HTTP status that goes with the code, or null. */
  public final @Nullable Integer httpStatus() {
    int status = detail().getHttpStatus();
    String said = failure.metadata().getOrDefault("httpStatus", "");
    if (status == 0 && said.matches("[0-9]{3}")) {
      status = Integer.parseInt(said);
    }
    return status == 0 ? null : status;
  }

  /** Returns whether the function of a run was applied; null for other requests. */
  public final @Nullable RunState runState() {
    String word = runStateName();
    return word == null ? null : RunState.ofWord(word);
  }

  /**
   * Returns the run state as a word, "unknown_N" for one that only a newer gateway knows; or null.
   */
  public final @Nullable String runStateName() {
    int number = detail().getRunStateValue();
    return number == 0
        ? null
        : Words.of(com.sessiongateway.v1.RunState.getDescriptor(), "RUN_STATE_", number);
  }

  /** Returns how long to wait before sending again, where that may help, or null. */
  public final @Nullable Duration retryAfter() {
    return failure.retryAfter();
  }

  /** Returns the session in question, or null. */
  public final @Nullable String sessionId() {
    return orNull(detail().getSessionId());
  }

  /** Returns why that session is no longer active, or null. */
  public final @Nullable EndReason endReason() {
    String word = endReasonName();
    return word == null ? null : EndReason.ofWord(word);
  }

  /** Returns the reason as a word, "unknown_N" for one that only a newer gateway knows; or null. */
  public final @Nullable String endReasonName() {
    int number = detail().getEndReasonValue();
    return number == 0
        ? null
        : Words.of(com.sessiongateway.v1.EndReason.getDescriptor(), "END_REASON_", number);
  }

  /** Returns the call that failed, as it stands in the gateway's log, or null. */
  public final @Nullable String callId() {
    return orNull(detail().getCallId());
  }

  /** Returns each wrong field of the request. */
  public final List<FieldViolation> fieldViolations() {
    return failure.violations();
  }

  /** Returns what the app's code raised, or null. */
  public final @Nullable AppFailure appFailure() {
    if (!detail().hasAppFailure()) {
      return null;
    }
    com.sessiongateway.v1.AppFailure raised = detail().getAppFailure();
    return new AppFailure(raised.getType(), raised.getMessage(), raised.getTraceback());
  }

  /** Returns how the worker died, or null if it did not. */
  public final @Nullable WorkerExit workerExit() {
    return detail().hasWorkerExit() ? WorkerExit.of(detail().getWorkerExit()) : null;
  }

  /** Returns the app that the session is bound to, as "name@version", or null. */
  public final @Nullable String sessionApp() {
    return detail().hasSessionApp() ? pinned(detail().getSessionApp()) : null;
  }

  /** Returns the app that the request meant, as "name@version", or null. */
  public final @Nullable String requestedApp() {
    return detail().hasRequestedApp() ? pinned(detail().getRequestedApp()) : null;
  }

  /** Returns what finds the entry of an INTERNAL error in the gateway's log, or null. */
  public final @Nullable String errorId() {
    return orNull(detail().getErrorId());
  }

  /** Returns every variable word of the message by its key. */
  public final Map<String, String> metadata() {
    return failure.metadata();
  }

  /** Returns the message of the protocol, or null when the error does not come from a gateway. */
  public final @Nullable ErrorDetail details() {
    return failure.isFromGateway() ? detail() : null;
  }

  final Failure failure() {
    return failure;
  }

  private ErrorDetail detail() {
    return failure.detail();
  }

  private static @Nullable String orNull(String text) {
    return text.isEmpty() ? null : text;
  }

  private static String pinned(AppVersion app) {
    return app.getVersion().isEmpty() ? app.getApp() : app.getApp() + "@" + app.getVersion();
  }
}
