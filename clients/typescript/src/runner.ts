/** One run, from its request to the decoded answer. */

import { partialOutput, runResult } from './convert.js';
import { GatewayDrainingError, SessionGatewayError, StoreUnavailableError } from './errors.js';
import type { RunState } from './errors.js';
import type { ServerCall } from './flight.js';
import type { RunRequest, RunStreamResponse } from './gen/sessiongateway/v1/sessions_pb.js';
import type { JsonValue } from './json.js';
import { backoffDelay, Deadline } from './pacing.js';
import type { Pacing } from './pacing.js';
import type { Transport } from './transport.js';
import type { RunResult } from './types.js';

/** A part of a streamed answer. */
export type Part<Output> =
  | { readonly kind: 'partial'; readonly value: JsonValue }
  | { readonly kind: 'result'; readonly value: RunResult<Output> };

/** Runs functions; the only place that sends a run more than once. */
export class Runner {
  readonly pacing: Pacing;
  readonly #transport: Transport;
  readonly #timeoutMs: number | undefined;

  /** `timeoutMs` holds for requests that have none of their own. */
  constructor(transport: Transport, pacing: Pacing, timeoutMs: number | undefined) {
    this.pacing = pacing;
    this.#transport = transport;
    this.#timeoutMs = timeoutMs;
  }

  /** Starts counting a request's own time, or the client's. */
  deadline(timeoutMs: number | undefined): Deadline {
    return new Deadline(this.pacing.clock, timeoutMs ?? this.#timeoutMs);
  }

  /** See `Inference.run`. */
  async run<Output>(request: RunRequest, deadline: Deadline, signal?: AbortSignal): Promise<RunResult<Output>> {
    const response = await this.#send(() => this.#transport.run(request, deadline, signal), deadline, signal);
    return decoded('completed', () => runResult<Output>(response));
  }

  /**
   * Yields the partial outputs of a run, and last its result. Leaving early cancels the run. The deadline is started with
   * the first step.
   *
   * @throws SessionGatewayError as `run`.
   */
  async *stream<Output>(
    request: RunRequest,
    startDeadline: () => Deadline,
    signal?: AbortSignal,
  ): AsyncGenerator<Part<Output>, void> {
    const deadline = startDeadline();
    const opened = await this.#send(() => this.#open(request, deadline, signal), deadline, signal);
    const { call } = opened;
    try {
      for (let message = opened.first; message !== undefined; message = await call.next()) {
        const { part } = message;
        if (part.case === 'result') {
          const value = decoded('completed', () => runResult<Output>(part.value));
          await this.#seeOff(call);
          yield { kind: 'result', value };
          return;
        }
        // Without a case it is of a kind that only a newer gateway knows.
        if (part.case !== undefined) {
          yield { kind: 'partial', value: decoded('unknown', () => partialOutput(part)) };
        }
      }
      throw invalid('the stream ended without a result', 'unknown');
    } finally {
      call.cancel();
    }
  }

  async #open(
    request: RunRequest,
    deadline: Deadline,
    signal: AbortSignal | undefined,
  ): Promise<{ call: ServerCall<RunStreamResponse>; first: RunStreamResponse | undefined }> {
    const call = await this.#transport.runStream(request, deadline, signal);
    return { call, first: await call.next() };
  }

  /** Waits for the status behind a result: without it the gateway takes the call for one that its caller has left. */
  async #seeOff(call: ServerCall<RunStreamResponse>): Promise<void> {
    const settled = new AbortController();
    const status = call.next().catch(() => undefined);
    await Promise.race([status, this.pacing.clock.sleep(this.pacing.statusTimeout, settled.signal)]);
    settled.abort();
  }

  async #send<Answer>(send: () => Promise<Answer>, deadline: Deadline, signal?: AbortSignal): Promise<Answer> {
    const { clock, random, runAttempts, runBackoff } = this.pacing;
    const flight = this.#transport.beginRun(signal);
    try {
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await send();
        } catch (error) {
          if (!tookNothing(error) || attempt + 1 >= runAttempts) {
            throw error;
          }
          const pause = Math.max(error.retryAfterMs ?? 0, backoffDelay(runBackoff, attempt, random()));
          if (pause >= (deadline.remaining() ?? Infinity)) {
            throw error;
          }
          await clock.sleep(pause, flight.signal);
          if (flight.signal.aborted) {
            throw flight.failure(undefined, 'not_started');
          }
        }
      }
    } finally {
      flight.end();
    }
  }
}

function tookNothing(error: unknown): error is SessionGatewayError {
  const isTemporary = error instanceof GatewayDrainingError || error instanceof StoreUnavailableError;
  return isTemporary && error.runState === 'not_started';
}

function decoded<Value>(runState: RunState, decode: () => Value): Value {
  try {
    return decode();
  } catch (error) {
    throw invalid(`the output cannot be read: ${String(error)}`, runState, error);
  }
}

function invalid(message: string, runState: RunState, cause?: unknown): SessionGatewayError {
  return new SessionGatewayError(message, { code: 'INVALID_RESPONSE', runState, ...(cause ? { cause } : {}) });
}
