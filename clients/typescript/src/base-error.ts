/** What every error of the client tells. */

import type { ErrorCode, ErrorDetail } from './gen/sessiongateway/v1/errors_pb.js';

/** Whether the function of a run was applied: only after "not_started" is it safe to send the run again. */
export type RunState = 'not_started' | 'unknown' | 'completed' | `unknown_${number}`;

/** Why a session is no longer active; "unknown_N" is a reason of a newer gateway. */
export type EndReasonName =
  | 'caller'
  | 'idle_timeout'
  | 'worker_lost'
  | 'max_lifetime'
  | 'call_timed_out'
  | 'memory_limit'
  | 'process_limit'
  | 'disk_limit'
  | 'first_call_failed'
  | 'gateway_restarted'
  | `unknown_${number}`;

/** What an error is about: a code of the gateway, one of this client, or another that a newer gateway or a proxy gives. */
export type ErrorCodeName =
  | keyof typeof ErrorCode
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'INVALID_RESPONSE'
  | 'INVALID_MESSAGE'
  | 'KEEPALIVE_FAILED'
  | 'UNKNOWN'
  // Keeps the others for completion, where plain `string` would swallow them.
  | (string & Record<never, never>);

/** How a worker died; neither is set if nobody saw it. */
export interface WorkerExit {
  readonly exitCode?: number;
  readonly signal?: number;
}

/** What the app's code raised. */
export interface AppFailure {
  /** The type of the app's exception, such as "ValueError". */
  readonly type: string;
  readonly message: string;
  /** The end of its traceback. */
  readonly traceback: string;
}

/** One wrong field of a request, or place in an input. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What is known of an error besides its message; what is absent does not apply. */
export interface ErrorFields {
  code?: ErrorCodeName | undefined;
  grpcStatus?: string | undefined;
  sessionId?: string | undefined;
  runState?: RunState | undefined;
  retryAfterMs?: number | undefined;
  httpStatus?: number | undefined;
  metadata?: Readonly<Record<string, string>> | undefined;
  callId?: string | undefined;
  endReason?: EndReasonName | undefined;
  workerExit?: WorkerExit | undefined;
  sessionApp?: string | undefined;
  requestedApp?: string | undefined;
  fieldViolations?: readonly FieldViolation[] | undefined;
  appFailure?: AppFailure | undefined;
  errorId?: string | undefined;
  details?: ErrorDetail | undefined;
  cause?: unknown;
}

/** A request failed. Itself thrown for codes and statuses that this client does not know. */
export class SessionGatewayError extends Error {
  /** The code that the class stands for. */
  static readonly code: string = 'UNKNOWN';

  /** That of the class, as it is written here: bundlers shorten the names of classes. */
  override readonly name: string = 'SessionGatewayError';
  /**
   * Why, such as "SESSION_EXPIRED". Of a code that this client does not know: the gateway's name for it. Of a status
   * that does not come from a gateway: the gRPC name, such as "UNIMPLEMENTED".
   */
  readonly code: ErrorCodeName;
  /** The gRPC status, such as "FAILED_PRECONDITION"; undefined for what did not come as the status of a request. */
  readonly grpcStatus: string | undefined;
  /** The session in question. */
  readonly sessionId: string | undefined;
  /** Whether the function of a run was applied; undefined for other requests. */
  readonly runState: RunState | undefined;
  /** Milliseconds to wait before sending again, where that may help. */
  readonly retryAfterMs: number | undefined;
  /** The HTTP status that goes with the code. */
  readonly httpStatus: number | undefined;
  /** Every variable word of the message by its key. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The call that failed, as it stands in the gateway's log. */
  readonly callId: string | undefined;
  /** Why the session is no longer active: "caller", "idle_timeout", "worker_lost", ... */
  readonly endReason: EndReasonName | undefined;
  /** How the worker died. */
  readonly workerExit: WorkerExit | undefined;
  /** The app and version that the session is bound to, as "app@version". */
  readonly sessionApp: string | undefined;
  /** The app and version that the request meant, as "app@version". */
  readonly requestedApp: string | undefined;
  /** Every wrong field. */
  readonly fieldViolations: readonly FieldViolation[];
  /** What the app's code raised, for APP_ERROR and APP_START_FAILED. */
  readonly appFailure: AppFailure | undefined;
  /** Finds the log entry of an INTERNAL error. */
  readonly errorId: string | undefined;
  /** The gateway's message as it came. */
  readonly details: ErrorDetail | undefined;

  constructor(message: string, fields: ErrorFields = {}) {
    super(message, 'cause' in fields ? { cause: fields.cause } : undefined);
    this.code = fields.code ?? new.target.code;
    this.grpcStatus = fields.grpcStatus;
    this.sessionId = fields.sessionId;
    this.runState = fields.runState;
    this.retryAfterMs = fields.retryAfterMs;
    this.httpStatus = fields.httpStatus;
    this.metadata = fields.metadata ?? {};
    this.callId = fields.callId;
    this.endReason = fields.endReason;
    this.workerExit = fields.workerExit;
    this.sessionApp = fields.sessionApp;
    this.requestedApp = fields.requestedApp;
    this.fieldViolations = fields.fieldViolations ?? [];
    this.appFailure = fields.appFailure;
    this.errorId = fields.errorId;
    this.details = fields.details;
  }
}
