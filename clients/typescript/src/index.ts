/** The client of Session Gateway: one worker process, leased to one caller for as long as a session lasts. */

export { Inference } from './client.js';
export type { InferenceOptions } from './client.js';
export {
  AppError,
  AppMismatchError,
  AppNotFoundError,
  AppStartFailedError,
  CallCountMismatchError,
  CallInterruptedError,
  CallTimedOutError,
  CancelledError,
  DeadlineExceededError,
  FunctionNotFoundError,
  GatewayDrainingError,
  InternalError,
  InvalidInputError,
  InvalidRequestError,
  NoWorkerAvailableError,
  PermissionDeniedError,
  QuotaExceededError,
  RequestIdReusedError,
  SessionBusyError,
  SessionEndedError,
  SessionExpiredError,
  SessionGatewayError,
  SessionNotFoundError,
  StoreUnavailableError,
  UnauthenticatedError,
  UnavailableError,
  VersionMismatchError,
  VersionNotFoundError,
  WorkerLeasedError,
  WorkerLostError,
  WorkerNotFoundError,
} from './errors.js';
export type {
  AppFailure,
  EndReasonName,
  ErrorCodeName,
  ErrorFields,
  FieldViolation,
  RunState,
  WorkerExit,
} from './errors.js';
export { parseJson, stringifyJson } from './json.js';
export type { JsonObject, JsonValue } from './json.js';
export type { KeepaliveStream } from './keepalive-stream.js';
export type { Pages } from './pages.js';
export type { Apps, ListAppsOptions, ListSessionsOptions, Sessions } from './resources.js';
export type { RunStream } from './run-stream.js';
export type { Session, SessionCallOptions, SessionOptions } from './session.js';
export type {
  AppInfo,
  CallOptions,
  FunctionInfo,
  KeepaliveEvent,
  RunOptions,
  RunParams,
  RunResult,
  SessionInfo,
  SessionStatusFilter,
  SessionStatusName,
  TlsOptions,
  WatchEvent,
  WatchEventName,
} from './types.js';
export type { WatchOptions, WatchStream } from './watch.js';
