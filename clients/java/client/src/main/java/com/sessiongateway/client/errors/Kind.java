package com.sessiongateway.client.errors;

import java.util.Arrays;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Which exception goes with which code: those of the gateway, then those of the transport. */
enum Kind {
  SESSION_NOT_FOUND(SessionNotFoundException::new),
  SESSION_EXPIRED(SessionExpiredException::new),
  SESSION_ENDED(SessionEndedException::new),
  WORKER_LEASED(WorkerLeasedException::new),
  APP_MISMATCH(AppMismatchException::new),
  VERSION_MISMATCH(VersionMismatchException::new),
  INVALID_REQUEST(InvalidRequestException::new),
  INVALID_INPUT(InvalidInputException::new),
  APP_NOT_FOUND(AppNotFoundException::new),
  VERSION_NOT_FOUND(VersionNotFoundException::new),
  FUNCTION_NOT_FOUND(FunctionNotFoundException::new),
  WORKER_NOT_FOUND(WorkerNotFoundException::new),
  REQUEST_ID_REUSED(RequestIdReusedException::new),
  SESSION_BUSY(SessionBusyException::new),
  NO_WORKER_AVAILABLE(NoWorkerAvailableException::new),
  QUOTA_EXCEEDED(QuotaExceededException::new),
  APP_ERROR(AppErrorException::new),
  APP_START_FAILED(AppStartFailedException::new),
  WORKER_LOST(WorkerLostException::new),
  UNAUTHENTICATED(UnauthenticatedException::new),
  PERMISSION_DENIED(PermissionDeniedException::new),
  GATEWAY_DRAINING(GatewayDrainingException::new),
  INTERNAL(InternalException::new),
  CALL_COUNT_MISMATCH(CallCountMismatchException::new),
  CALL_INTERRUPTED(CallInterruptedException::new),
  STORE_UNAVAILABLE(StoreUnavailableException::new),
  CALL_TIMED_OUT(CallTimedOutException::new),
  UNAVAILABLE(UnavailableException::new),
  DEADLINE_EXCEEDED(DeadlineExceededException::new),
  CANCELLED(CancelledException::new);

  private static final Map<String, Kind> BY_CODE =
      Arrays.stream(values()).collect(Collectors.toMap(Kind::name, Function.identity()));

  @SuppressWarnings("ImmutableEnumChecker") // A constructor: there is nothing to change in it.
  private final Function<Failure, SessionGatewayException> make;

  Kind(Function<Failure, SessionGatewayException> make) {
    this.make = make;
  }

  /**
   * Returns the exception of a code; the base class itself for one that this client does not know.
   */
  static SessionGatewayException exception(Failure failure) {
    Kind kind = BY_CODE.get(failure.code());
    return kind == null ? new SessionGatewayException(failure) : kind.make.apply(failure);
  }
}
