/** One request on its way. */

import { CancelledError, SessionGatewayError } from './errors.js';
import type { RunState } from './errors.js';
import { onAbort } from './signals.js';
import { fromFailure } from './status.js';

/** A request that its caller can abort, and the client when it is closed; knows why it failed. */
export class Flight {
  /** Only a run has a run state. */
  readonly isRun: boolean;
  readonly #controller = new AbortController();
  readonly #flights: Set<Flight>;
  readonly #unfollow: () => void;
  #cancelled: { message: string; cause?: unknown } | undefined;

  /** Begins; `flights` has it until it ends. */
  constructor(flights: Set<Flight>, isRun: boolean, callersSignal: AbortSignal | undefined) {
    this.#flights = flights;
    this.isRun = isRun;
    flights.add(this);
    this.#unfollow = onAbort(callersSignal, () => {
      this.cancel('the request was aborted by its caller', callersSignal?.reason);
    });
  }

  /** Aborted when the request is to be given up. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Gives the request up. */
  cancel(message: string, cause?: unknown): void {
    this.#cancelled ??= { message, ...(cause === undefined ? {} : { cause }) };
    // Without a reason of its own: Connect sends CANCEL only for the one that there is by default.
    this.#controller.abort();
  }

  /** Must be called when nothing more can come. */
  end(): void {
    this.#flights.delete(this);
    this.#unfollow();
  }

  /** Returns what went wrong; `cancelledRunState` is what holds of a run that was given up here. */
  failure(reason: unknown, cancelledRunState: RunState = 'unknown'): SessionGatewayError {
    if (reason instanceof SessionGatewayError) {
      return reason;
    }
    const { message, ...cause } = this.#cancelled ?? {};
    if (message === undefined) {
      return fromFailure(reason, this.isRun);
    }
    const runState = this.isRun ? cancelledRunState : undefined;
    return new CancelledError(message, { runState, grpcStatus: 'CANCELLED', ...cause });
  }
}

/** The answers of one request that come one by one, read as they are asked for. */
export class ServerCall<Message> {
  readonly #flight: Flight;
  readonly #messages: AsyncIterator<Message>;
  readonly #onSilence: () => void;

  /** `onSilence` hears of it when the request was given up because nothing came. */
  constructor(flight: Flight, messages: AsyncIterable<Message>, onSilence: () => void) {
    this.#flight = flight;
    this.#messages = messages[Symbol.asyncIterator]();
    this.#onSilence = onSilence;
  }

  /**
   * Returns the next message; undefined when the gateway has ended the stream well.
   *
   * @throws SessionGatewayError if the stream failed.
   */
  async next(): Promise<Message | undefined> {
    try {
      const step = await this.#messages.next();
      if (!step.done) {
        return step.value;
      }
    } catch (failure) {
      this.#flight.end();
      throw this.#flight.failure(failure);
    }
    this.#flight.end();
    return undefined;
  }

  /** Ends the request, on the gateway too; a step that waits throws. May be called at any time. */
  cancel(): void {
    this.#flight.cancel('the stream was closed');
    this.#flight.end();
  }

  /** The same because nothing comes: the next request takes another connection. */
  giveUp(): void {
    this.cancel();
    this.#onSilence();
  }
}
