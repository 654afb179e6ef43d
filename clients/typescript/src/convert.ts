/** Between what callers write and read and the messages of the protocol. */

import { create } from '@bufbuild/protobuf';

import type { App, Function as AppFunction } from './gen/sessiongateway/v1/apps_pb.js';
import { EndReason } from './gen/sessiongateway/v1/errors_pb.js';
import type {
  RunRequest,
  RunResponse,
  RunStreamResponse,
  Session,
  WatchSessionsResponse,
} from './gen/sessiongateway/v1/sessions_pb.js';
import { RunRequestSchema, SessionEvent, SessionStatus } from './gen/sessiongateway/v1/sessions_pb.js';
import { parseJson, stringifyJson } from './json.js';
import type { JsonValue } from './json.js';
import { workerExit } from './status.js';
import type { AppInfo, FunctionInfo, RunParams, RunResult, SessionInfo, WatchEvent } from './types.js';
import { enumWord, milliseconds, moment, optionalWord } from './words.js';

const TEXTS = ['app', 'function', 'session', 'worker_id', 'request_id'] as const;
const NUMBERS = ['session_timeout', 'expected_call_count'] as const;

/**
 * Builds the request of a run. A field that is undefined or null counts as left out. A left-out input is sent as an
 * empty object rather than as none: the answer comes in the form of the request, and only JSON text keeps integers
 * exact.
 *
 * @throws TypeError if a field is missing or of the wrong type, or the input cannot be JSON.
 */
export function runRequest(params: Partial<RunParams>): RunRequest {
  const [app, fn, session, workerId, requestId] = TEXTS.map((name) => text(name, params[name]));
  const [sessionTimeout, callCount] = NUMBERS.map((name) => integer(name, params[name]));
  if (!app) {
    throw new TypeError("a run needs the field 'app'");
  }
  return create(RunRequestSchema, {
    app,
    function: fn ?? '',
    payload: { case: 'inputJson', value: encodeInput(params.input) },
    session: session ?? '',
    workerId: workerId ?? '',
    requestId: requestId ?? '',
    ...(sessionTimeout === undefined ? {} : { sessionTimeout }),
    ...(callCount === undefined ? {} : { expectedCallCount: BigInt(callCount) }),
  });
}

/**
 * Returns a text that callers may leave out, by undefined or null.
 *
 * @throws TypeError if it is none that can be sent.
 */
export function text(name: string, value: unknown): string | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  if (typeof value !== 'string' || !value.isWellFormed()) {
    throw new TypeError(`the field '${name}' must be a string of Unicode text`);
  }
  return value;
}

/**
 * Returns a text that callers may not leave out.
 *
 * @throws TypeError if it is none that can be sent.
 */
export function required(name: string, value: unknown): string {
  const found = text(name, value);
  if (found === undefined) {
    throw new TypeError(`the field '${name}' must be a string of Unicode text`);
  }
  return found;
}

/**
 * Returns a number that callers may leave out, by undefined or null.
 *
 * @throws TypeError if it is not an integer, or more than its field holds.
 */
export function integer(name: string, value: unknown): number | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  const isCount = name === 'expected_call_count';
  if (!(isCount ? Number.isSafeInteger(value) : Number.isInteger(value) && value === ((value as number) | 0))) {
    throw new TypeError(`the field '${name}' must be an integer`);
  }
  return value as number;
}

function encodeInput(input: unknown): Uint8Array<ArrayBuffer> {
  if (input === undefined || input === null) {
    return new TextEncoder().encode('{}');
  }
  const encoded = stringifyJson(input);
  if (!encoded.startsWith('{')) {
    throw new TypeError('the input must be a JSON object');
  }
  return new TextEncoder().encode(encoded);
}

/**
 * Decodes the answer of a run.
 *
 * @throws TypeError or SyntaxError if the output is not JSON in UTF-8.
 */
export function runResult<Output>(response: RunResponse): RunResult<Output> {
  const { case: form, value } = response.result;
  return {
    session_id: response.sessionId,
    output: (form === 'outputJson' ? decodeOutput(value) : (value ?? {})) as Output,
    call_id: response.callId,
    session: response.session && sessionInfo(response.session),
  };
}

/**
 * Decodes a part of a run's answer that is not the result.
 *
 * @throws TypeError or SyntaxError if it is not JSON in UTF-8.
 */
export function partialOutput(part: RunStreamResponse['part']): JsonValue {
  return part.case === 'partialJson' ? decodeOutput(part.value) : ((part.value ?? {}) as JsonValue);
}

function decodeOutput(bytes: Uint8Array): JsonValue {
  return parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
}

/** Decodes a session. */
export function sessionInfo(session: Session): SessionInfo {
  return {
    id: session.id,
    app: session.app,
    version: session.version,
    status: enumWord(SessionStatus, session.status),
    endReason: optionalWord(EndReason, session.endReason),
    workerId: session.workerId,
    sessionTimeout: session.sessionTimeout,
    createdAt: moment(session.createdAt),
    expiresAt: moment(session.expiresAt),
    expiresInMs: session.expiresIn ? milliseconds(session.expiresIn) : 0,
    lastCallAt: moment(session.lastCallAt),
    endedAt: moment(session.endedAt),
    callCount: Number(session.callCount),
    workerExit: workerExit(session.workerExit),
  };
}

/** Decodes a message of a watch. */
export function watchEvent(message: WatchSessionsResponse): WatchEvent {
  return {
    event: enumWord(SessionEvent, message.event),
    session: message.session && sessionInfo(message.session),
    occurredAt: moment(message.occurredAt),
    resumeToken: message.resumeToken,
  };
}

/**
 * Returns the status of a word such as "active".
 *
 * @throws TypeError if there is no such status.
 */
export function sessionStatus(word: string | undefined): SessionStatus {
  if (word === undefined) {
    return SessionStatus.UNSPECIFIED;
  }
  const known = { active: SessionStatus.ACTIVE, ended: SessionStatus.ENDED, expired: SessionStatus.EXPIRED };
  if (!Object.hasOwn(known, word)) {
    throw new TypeError(`'${word}' is not a session status; those are ${Object.keys(known).join(', ')}`);
  }
  return known[word as keyof typeof known];
}

/**
 * Decodes an app.
 *
 * @throws SyntaxError if a schema is not JSON.
 */
export function appInfo(app: App): AppInfo {
  return {
    name: app.name,
    version: app.version,
    currentVersion: app.currentVersion,
    versions: [...app.versions],
    defaultFunction: app.defaultFunction,
    functions: app.functions.map(functionInfo),
    concurrency: app.concurrency,
    idleWorkerIds: [...app.idleWorkerIds],
  };
}

function functionInfo(fn: AppFunction): FunctionInfo {
  return {
    name: fn.name,
    description: fn.description,
    inputSchema: parseJson(fn.inputSchema || '{}'),
    outputSchema: parseJson(fn.outputSchema || '{}'),
    streams: fn.streams,
    partialSchema: parseJson(fn.partialSchema || '{}'),
  };
}
