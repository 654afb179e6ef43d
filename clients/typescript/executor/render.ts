/** Results and errors in the form that the conformance runner compares. */

import { SessionGatewayError, stringifyJson } from '../src/index.js';
import type { AppInfo, RunResult, SessionInfo, WorkerExit } from '../src/index.js';

/** SESSION of the protocol. */
export function renderSession(info: SessionInfo | undefined): object | null {
  return (
    (info && {
      id: info.id,
      app: info.app,
      version: info.version,
      status: info.status,
      end_reason: info.endReason ?? null,
      worker_id: info.workerId,
      session_timeout: info.sessionTimeout,
      created_at: info.createdAt ?? null,
      expires_at: info.expiresAt ?? null,
      expires_in: info.expiresInMs / 1000,
      last_call_at: info.lastCallAt ?? null,
      ended_at: info.endedAt ?? null,
      call_count: info.callCount,
      worker_exit: renderExit(info.workerExit),
    }) ??
    null
  );
}

/** RESULT of the protocol. */
export function renderResult(result: RunResult<unknown>): object {
  return {
    session_id: result.session_id,
    output: stringifyJson(result.output),
    call_id: result.call_id,
    session: renderSession(result.session),
  };
}

/** An app with its functions. */
export function renderApp(info: AppInfo): object {
  const functions = info.functions.map(({ name, streams }) => ({ name, streams }));
  return { name: info.name, version: info.version, functions };
}

/** ERROR of the protocol. What is not an error of a request was a mistake that the layer found before sending. */
export function renderError(error: unknown): object {
  if (!(error instanceof SessionGatewayError)) {
    const { name, message } = error instanceof Error ? error : { name: typeof error, message: String(error) };
    return { ...NOTHING, code: 'USAGE', message, class: name };
  }
  return {
    code: error.code,
    message: error.message,
    grpc_status: error.grpcStatus ?? null,
    class: error.name,
    session_id: error.sessionId ?? null,
    run_state: error.runState ?? null,
    retry_after: error.retryAfterMs === undefined ? null : error.retryAfterMs / 1000,
    http_status: error.httpStatus ?? null,
    end_reason: error.endReason ?? null,
    call_id: error.callId ?? null,
    field_violations: error.fieldViolations.map(({ field, description }) => [field, description]),
    app_failure: error.appFailure ?? null,
    worker_exit: renderExit(error.workerExit),
    session_app: error.sessionApp ?? null,
    requested_app: error.requestedApp ?? null,
    error_id: error.errorId ?? null,
    metadata: error.metadata,
  };
}

/** What ERROR has when nothing is known. */
export const NOTHING = {
  grpc_status: null,
  session_id: null,
  run_state: null,
  retry_after: null,
  http_status: null,
  end_reason: null,
  call_id: null,
  field_violations: [],
  app_failure: null,
  worker_exit: null,
  session_app: null,
  requested_app: null,
  error_id: null,
  metadata: {},
};

function renderExit(exit: WorkerExit | undefined): object | null {
  if (exit === undefined) {
    return null;
  }
  const { exitCode, signal } = exit;
  return { ...(exitCode === undefined ? {} : { exit_code: exitCode }), ...(signal === undefined ? {} : { signal }) };
}
