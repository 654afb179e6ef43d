/** From a failed request to an error: the only place that does it. */

import { Code, ConnectError } from '@connectrpc/connect';

import { ERROR_CLASSES, SessionGatewayError, UnavailableError } from './errors.js';
import type { ErrorFields, RunState, WorkerExit } from './errors.js';
import type { AppVersion, ErrorDetail, WorkerExit as WorkerExitMessage } from './gen/sessiongateway/v1/errors_pb.js';
import { EndReason, ErrorCode, ErrorDetailSchema, RunState as RunStates } from './gen/sessiongateway/v1/errors_pb.js';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from './gen/google/rpc/error_details_pb.js';
import { milliseconds, optionalWord } from './words.js';

const DOMAIN = 'sessiongateway';

/** Statuses that this side makes up when a connection breaks; a server that means them sends a grpc-status. */
const BROKEN = new Set([Code.Canceled, Code.Aborted, Code.Internal, Code.Unknown, Code.Unavailable]);

/** Connect says INTERNAL of messages that it cannot write or read, too, and nothing but its words tells them apart. */
const UNREADABLE = [
  { beginning: 'parse binary: ', code: 'INVALID_RESPONSE', runState: 'unknown' },
  { beginning: 'serialize binary: ', code: 'INVALID_MESSAGE', runState: 'not_started' },
] as const;

/** After these, the same stream opened again would fail in the same way. */
const FINAL = new Set([
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'FAILED_PRECONDITION',
  'PERMISSION_DENIED',
  'UNAUTHENTICATED',
  'UNIMPLEMENTED',
]);

/** Whether opening the same stream again is of no use. */
export function isFinal(error: SessionGatewayError): boolean {
  return error.grpcStatus !== undefined && FINAL.has(error.grpcStatus);
}

/** Returns what a failed request means; `isRun` because only a run has a run state. */
export function fromFailure(failure: unknown, isRun: boolean): SessionGatewayError {
  const error = ConnectError.from(failure);
  const [detail] = error.findDetails(ErrorDetailSchema);
  const [info] = error.findDetails(ErrorInfoSchema);
  if (detail !== undefined || (info?.domain === DOMAIN && info.reason !== '')) {
    return fromGateway(error, detail);
  }
  const isOurs = !error.metadata.has('grpc-status');
  const unreadable = UNREADABLE.find(({ beginning }) => isOurs && error.rawMessage.startsWith(beginning));
  if (unreadable !== undefined) {
    const { code, runState } = unreadable;
    return new SessionGatewayError(error.rawMessage, { code, runState: isRun ? runState : undefined, cause: failure });
  }
  const runState = isRun ? 'unknown' : undefined;
  // A server that is stopped answers CANCELLED to what it had not yet looked at; nobody here cancelled that.
  if (error.code === Code.Canceled || (BROKEN.has(error.code) && isOurs)) {
    return transportError('UNAVAILABLE', error.rawMessage, runState, failure);
  }
  return transportError(statusName(error.code), error.rawMessage, runState, failure);
}

/** Returns the error of a status that no gateway made. */
export function transportError(
  code: string,
  message: string,
  runState: RunState | undefined,
  cause?: unknown,
): SessionGatewayError {
  // INTERNAL is also a code of the gateway, but says nothing of the kind when it does not come from there.
  const errorClass = TRANSPORT_CODES.has(code) ? (ERROR_CLASSES.get(code) ?? UnavailableError) : SessionGatewayError;
  return new errorClass(message, { code, grpcStatus: code, runState, ...(cause === undefined ? {} : { cause }) });
}

const TRANSPORT_CODES = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED']);

/** Returns what an error in the middle of a keepalive stream means. */
export function fromDetail(detail: ErrorDetail): SessionGatewayError {
  return build(detail.message, { ...fieldsOf(detail), code: codeName(detail.code, '') });
}

function fromGateway(error: ConnectError, detail: ErrorDetail | undefined): SessionGatewayError {
  const [info] = error.findDetails(ErrorInfoSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const [request] = error.findDetails(BadRequestSchema);
  const fields: ErrorFields = detail ? fieldsOf(detail) : {};
  fields.code = codeName(detail?.code ?? 0, info?.reason ?? '');
  fields.grpcStatus = statusName(error.code);
  fields.metadata = { ...info?.metadata };
  fields.httpStatus ??= Number(info?.metadata.httpStatus) || undefined;
  fields.retryAfterMs = retry?.retryDelay ? milliseconds(retry.retryDelay) : fields.retryAfterMs;
  fields.fieldViolations = request?.fieldViolations.map(({ field, description }) => ({ field, description }));
  return build(error.rawMessage || (detail?.message ?? ''), fields);
}

function build(message: string, fields: ErrorFields): SessionGatewayError {
  const errorClass = ERROR_CLASSES.get(fields.code ?? '') ?? SessionGatewayError;
  return new errorClass(message, fields);
}

function codeName(number: number, reason: string): string {
  if (number === 0) {
    return reason || 'UNKNOWN';
  }
  return ErrorCode[number] ?? (reason || `UNKNOWN_${number}`);
}

function fieldsOf(detail: ErrorDetail): ErrorFields {
  return {
    sessionId: detail.sessionId || undefined,
    runState: optionalWord(RunStates, detail.runState),
    retryAfterMs: detail.retryAfter && milliseconds(detail.retryAfter),
    httpStatus: detail.httpStatus || undefined,
    callId: detail.callId || undefined,
    endReason: optionalWord(EndReason, detail.endReason),
    workerExit: workerExit(detail.workerExit),
    sessionApp: pinned(detail.sessionApp),
    requestedApp: pinned(detail.requestedApp),
    appFailure: detail.appFailure && {
      type: detail.appFailure.type,
      message: detail.appFailure.message,
      traceback: detail.appFailure.traceback,
    },
    errorId: detail.errorId || undefined,
    details: detail,
  };
}

/** Returns how a worker died; undefined if it did not. */
export function workerExit(message: WorkerExitMessage | undefined): WorkerExit | undefined {
  return message && (message.how.case === undefined ? {} : { [message.how.case]: message.how.value });
}

function pinned(app: AppVersion | undefined): string | undefined {
  return app && (app.version ? `${app.app}@${app.version}` : app.app);
}

function statusName(code: Code): string {
  if (code === Code.Canceled) {
    return 'CANCELLED';
  }
  const name = Code[code] as string | undefined;
  return name?.replace(/(?!^)[A-Z]/g, (letter) => `_${letter}`).toUpperCase() ?? `UNKNOWN_${code}`;
}
