/** What the client takes and returns. */

import type { EndReasonName, SessionGatewayError, WorkerExit } from './base-error.js';
import type { JsonObject, JsonValue } from './json.js';

/** What is to be run. The names are those of the protocol, as in all languages. */
export interface RunParams {
  /** "name" or "name@version". */
  app: string;
  /** Which function; left out: the app's default. */
  function?: string | undefined;
  /**
   * The function's input, a JSON object; left out: an empty one. Bigints are written with all their digits. NaN, cycles
   * and what else JSON does not have are refused.
   */
  input?: object | undefined;
  /** "new", or a session id; left out: on any worker, which others use too: rely on nothing that it keeps. */
  session?: string | undefined;
  /** The idle timeout of the new session in whole seconds, 1 to 3600. */
  session_timeout?: number | undefined;
  /** With "new": lease this worker. With an id: insist that the session is still there. */
  worker_id?: string | undefined;
  /** Idempotency key. */
  request_id?: string | undefined;
  /** How many calls the session must have had when this one's turn comes. */
  expected_call_count?: number | undefined;
}

/** How a request is made. */
export interface CallOptions {
  /** Milliseconds that it may take with all its attempts; left out: the client's. */
  timeoutMs?: number | undefined;
  /** Aborting it cancels the request, on the gateway too. */
  signal?: AbortSignal | undefined;
}

/** Options of a run; what it has of the run's own fields wins over those in the first argument. */
export interface RunOptions extends CallOptions, Partial<RunParams> {}

/** PEM texts for an encrypted connection. */
export interface TlsOptions {
  /** The authorities that may have signed the gateway's certificate; left out: those that Node trusts. */
  ca?: string | Uint8Array | undefined;
  /** The client's own certificate, for gateways that ask for one. */
  cert?: string | Uint8Array | undefined;
  /** The key of that certificate. */
  key?: string | Uint8Array | undefined;
}

/** The answer of one run. */
export interface RunResult<Output = JsonObject> {
  /** The session; empty for a run without one. */
  readonly session_id: string;
  /** What the function returned. An integer that a number cannot hold exactly is a bigint. */
  readonly output: Output;
  /** Names the call in the gateway's log. */
  readonly call_id: string;
  /** The session after the call; undefined for a run without one. */
  readonly session: SessionInfo | undefined;
}

/** What a session can be listed by. */
export type SessionStatusFilter = 'active' | 'ended' | 'expired';

/** How it stands with a session; "unknown_N" is a status of a newer gateway. */
export type SessionStatusName = SessionStatusFilter | `unknown_${number}`;

/** What can happen to a session, and "watching"; "unknown_N" is an event of a newer gateway. */
export type WatchEventName = 'watching' | 'created' | 'ended' | 'expired' | 'worker_lost' | `unknown_${number}`;

/** A session as it was when the gateway answered. All times are by the gateway's clock. */
export interface SessionInfo {
  readonly id: string;
  readonly app: string;
  readonly version: string;
  readonly status: SessionStatusName;
  /** Why it is no longer active; undefined while it is. */
  readonly endReason: EndReasonName | undefined;
  readonly workerId: string;
  /** The idle timeout in seconds. */
  readonly sessionTimeout: number;
  readonly createdAt: Date | undefined;
  readonly expiresAt: Date | undefined;
  /** The milliseconds that were left; needs no comparison of clocks. */
  readonly expiresInMs: number;
  readonly lastCallAt: Date | undefined;
  readonly endedAt: Date | undefined;
  readonly callCount: number;
  /** How the worker died; undefined if it did not. */
  readonly workerExit: WorkerExit | undefined;
}

/** A function of an app. The schemas are JSON Schema (2020-12). */
export interface FunctionInfo {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: JsonValue;
  readonly outputSchema: JsonValue;
  /** Whether it sends partial outputs before its result. */
  readonly streams: boolean;
  /** Of a partial output; an empty object unless it streams. */
  readonly partialSchema: JsonValue;
}

/** An app in one version. */
export interface AppInfo {
  readonly name: string;
  readonly version: string;
  /** The version that the name alone means. */
  readonly currentVersion: string;
  /** All that are deployed, the newest first. */
  readonly versions: readonly string[];
  readonly defaultFunction: string;
  /** Filled in by `apps.get` only. */
  readonly functions: readonly FunctionInfo[];
  /** How many calls of one session run at a time. */
  readonly concurrency: number;
  /** Workers that a run with `worker_id` may name. Filled in by `apps.get` only. */
  readonly idleWorkerIds: readonly string[];
}

/** One thing that happened to a session. */
export interface WatchEvent {
  /** "watching" only if that is asked for. */
  readonly event: WatchEventName;
  /** The session as it was right after it; undefined for "watching". */
  readonly session: SessionInfo | undefined;
  readonly occurredAt: Date | undefined;
  /** Continues a watch behind this event. */
  readonly resumeToken: string;
}

/** News of one session: it was renewed, or it is lost. */
export type KeepaliveEvent =
  | { readonly sessionId: string; readonly session: SessionInfo; readonly error?: undefined }
  | { readonly sessionId: string; readonly session?: undefined; readonly error: SessionGatewayError };
