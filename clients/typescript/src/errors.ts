/**
 * What the client throws when a request fails: one class for each code of the gateway, and three for the transport.
 * Mistakes that show before anything is sent, such as a misspelt field or NaN in the input, are TypeError and RangeError.
 */

import { SessionGatewayError } from './base-error.js';

export * from './base-error.js';

/** No session has this id, or it belongs to another caller. */
export class SessionNotFoundError extends SessionGatewayError {
  static override readonly code = 'SESSION_NOT_FOUND';
  override readonly name = 'SessionNotFoundError';
}

/** The session was idle for longer than its timeout; its state is gone. */
export class SessionExpiredError extends SessionGatewayError {
  static override readonly code = 'SESSION_EXPIRED';
  override readonly name = 'SessionExpiredError';
}

/** The session was ended, `endReason` says by what; its state is gone. */
export class SessionEndedError extends SessionGatewayError {
  static override readonly code = 'SESSION_ENDED';
  override readonly name = 'SessionEndedError';
}

/** The worker that was asked for is leased to another session. */
export class WorkerLeasedError extends SessionGatewayError {
  static override readonly code = 'WORKER_LEASED';
  override readonly name = 'WorkerLeasedError';
}

/** The session belongs to another app: compare `sessionApp` with `requestedApp`. */
export class AppMismatchError extends SessionGatewayError {
  static override readonly code = 'APP_MISMATCH';
  override readonly name = 'AppMismatchError';
}

/** The session belongs to another version of the app: compare `sessionApp` with `requestedApp`. */
export class VersionMismatchError extends SessionGatewayError {
  static override readonly code = 'VERSION_MISMATCH';
  override readonly name = 'VersionMismatchError';
}

/** Fields of the request are wrong; `fieldViolations` names every one. */
export class InvalidRequestError extends SessionGatewayError {
  static override readonly code = 'INVALID_REQUEST';
  override readonly name = 'InvalidRequestError';
}

/** The app's input type refuses the input; `fieldViolations` names each place in it. */
export class InvalidInputError extends SessionGatewayError {
  static override readonly code = 'INVALID_INPUT';
  override readonly name = 'InvalidInputError';
}

/** No app of this name is deployed. */
export class AppNotFoundError extends SessionGatewayError {
  static override readonly code = 'APP_NOT_FOUND';
  override readonly name = 'AppNotFoundError';
}

/** The app is not deployed in this version. */
export class VersionNotFoundError extends SessionGatewayError {
  static override readonly code = 'VERSION_NOT_FOUND';
  override readonly name = 'VersionNotFoundError';
}

/** The app has no such function, or none was named and it has no default. */
export class FunctionNotFoundError extends SessionGatewayError {
  static override readonly code = 'FUNCTION_NOT_FOUND';
  override readonly name = 'FunctionNotFoundError';
}

/** No worker of the app has this id, or it is not the session's worker. */
export class WorkerNotFoundError extends SessionGatewayError {
  static override readonly code = 'WORKER_NOT_FOUND';
  override readonly name = 'WorkerNotFoundError';
}

/** The request id was used before for a request with another content. */
export class RequestIdReusedError extends SessionGatewayError {
  static override readonly code = 'REQUEST_ID_REUSED';
  override readonly name = 'RequestIdReusedError';
}

/** Too many calls wait for the session, or the call's turn did not come in time. */
export class SessionBusyError extends SessionGatewayError {
  static override readonly code = 'SESSION_BUSY';
  override readonly name = 'SessionBusyError';
}

/** No worker became free in time. */
export class NoWorkerAvailableError extends SessionGatewayError {
  static override readonly code = 'NO_WORKER_AVAILABLE';
  override readonly name = 'NoWorkerAvailableError';
}

/** A limit of this caller is reached. */
export class QuotaExceededError extends SessionGatewayError {
  static override readonly code = 'QUOTA_EXCEEDED';
  override readonly name = 'QuotaExceededError';
}

/** The function raised: see `appFailure`. The session lives on, unless this call was to open it. */
export class AppError extends SessionGatewayError {
  static override readonly code = 'APP_ERROR';
  override readonly name = 'AppError';
}

/** The app could not be started: see `appFailure`. */
export class AppStartFailedError extends SessionGatewayError {
  static override readonly code = 'APP_START_FAILED';
  override readonly name = 'AppStartFailedError';
}

/** The worker process died during the call, and its session with it: see `workerExit`. */
export class WorkerLostError extends SessionGatewayError {
  static override readonly code = 'WORKER_LOST';
  override readonly name = 'WorkerLostError';
}

/** The API key is missing or not valid. */
export class UnauthenticatedError extends SessionGatewayError {
  static override readonly code = 'UNAUTHENTICATED';
  override readonly name = 'UnauthenticatedError';
}

/** The API key does not allow this. */
export class PermissionDeniedError extends SessionGatewayError {
  static override readonly code = 'PERMISSION_DENIED';
  override readonly name = 'PermissionDeniedError';
}

/** The gateway is shutting down and took nothing. Thrown after the client has tried again a few times. */
export class GatewayDrainingError extends SessionGatewayError {
  static override readonly code = 'GATEWAY_DRAINING';
  override readonly name = 'GatewayDrainingError';
}

/** The gateway failed in a way that it did not foresee; `errorId` finds the entry in its log. */
export class InternalError extends SessionGatewayError {
  static override readonly code = 'INTERNAL';
  override readonly name = 'InternalError';
}

/** The session has had another number of calls than expected: somebody else used it. */
export class CallCountMismatchError extends SessionGatewayError {
  static override readonly code = 'CALL_COUNT_MISMATCH';
  override readonly name = 'CallCountMismatchError';
}

/** The gateway was stopped while the call ran. The worker goes on with it, and the session lives on. */
export class CallInterruptedError extends SessionGatewayError {
  static override readonly code = 'CALL_INTERRUPTED';
  override readonly name = 'CallInterruptedError';
}

/** The gateway cannot use its records at the moment and took nothing. Thrown after the client has tried again. */
export class StoreUnavailableError extends SessionGatewayError {
  static override readonly code = 'STORE_UNAVAILABLE';
  override readonly name = 'StoreUnavailableError';
}

/** The call took longer than its app allows; `endReason` tells whether the session has ended with it. */
export class CallTimedOutError extends SessionGatewayError {
  static override readonly code = 'CALL_TIMED_OUT';
  override readonly name = 'CallTimedOutError';
}

/**
 * The gateway cannot be reached, or the connection broke. A run is not sent again by the client, since it may have been
 * applied: `runState` is "not_started" only if no connection was made.
 */
export class UnavailableError extends SessionGatewayError {
  static override readonly code = 'UNAVAILABLE';
  override readonly name = 'UnavailableError';
}

/** The time that the caller gave is over. `runState` is "not_started" only if the run was never sent. */
export class DeadlineExceededError extends SessionGatewayError {
  static override readonly code = 'DEADLINE_EXCEEDED';
  override readonly name = 'DeadlineExceededError';
}

/** The caller aborted the request, or closed the client; `cause` is the reason of the caller's signal. */
export class CancelledError extends SessionGatewayError {
  static override readonly code = 'CANCELLED';
  override readonly name = 'CancelledError';
}

/** The class of each code of the gateway and of the three of the transport. */
export const ERROR_CLASSES: ReadonlyMap<string, typeof SessionGatewayError> = new Map(
  [
    SessionNotFoundError,
    SessionExpiredError,
    SessionEndedError,
    WorkerLeasedError,
    AppMismatchError,
    VersionMismatchError,
    InvalidRequestError,
    InvalidInputError,
    AppNotFoundError,
    VersionNotFoundError,
    FunctionNotFoundError,
    WorkerNotFoundError,
    RequestIdReusedError,
    SessionBusyError,
    NoWorkerAvailableError,
    QuotaExceededError,
    AppError,
    AppStartFailedError,
    WorkerLostError,
    UnauthenticatedError,
    PermissionDeniedError,
    GatewayDrainingError,
    InternalError,
    CallCountMismatchError,
    CallInterruptedError,
    StoreUnavailableError,
    CallTimedOutError,
    UnavailableError,
    DeadlineExceededError,
    CancelledError,
  ].map((errorClass) => [errorClass.code, errorClass]),
);
