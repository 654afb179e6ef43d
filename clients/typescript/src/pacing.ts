/** When to wait, and for how long. All of it can be replaced, so that tests wait for nothing. */

import { onAbort } from './signals.js';

/** Tells and passes the time. */
export interface Clock {
  /** Milliseconds since some moment; never goes back. */
  now(): number;
  /** Resolves after so many milliseconds, or as soon as the signal is aborted; never rejects. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** The longest delay that a Node timer can have; with more it fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The real one. */
export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        unfollow();
        resolve();
      };
      const timer = setTimeout(finish, Math.min(Math.max(milliseconds, 0), LONGEST_TIMER));
      // Called at once if the signal is aborted, before there is anything to end.
      let unfollow: () => void = () => undefined;
      unfollow = onAbort(signal, finish);
    }),
};

/** Waiting times that grow: `initial` milliseconds, doubled with each attempt, up to `maximum`. */
export interface Backoff {
  readonly initial: number;
  readonly maximum: number;
}

/** Every wait that the client takes by itself, in milliseconds. */
export interface Pacing {
  readonly clock: Clock;
  /** A number from 0 to 1; spreads the waits of many clients. */
  readonly random: () => number;
  /** How often a run is sent at most, when every answer is that the gateway took nothing. */
  readonly runAttempts: number;
  /** Between these, if the gateway does not ask for more. */
  readonly runBackoff: Backoff;
  /** How often a request that may be repeated is sent at most, when the gateway cannot be reached. */
  readonly repeatAttempts: number;
  /** Between these. */
  readonly repeatBackoff: Backoff;
  /** Before a broken stream is opened again; its maximum is far below the usual session timeout of 60 s. */
  readonly reconnect: Backoff;
  /** After so long a host that finishes no connection, or says nothing on it, cannot be reached. */
  readonly connectTimeout: number;
  /** After so long without an answer a keepalive stream counts as broken: a host that vanished says nothing. */
  readonly replyTimeout: number;
  /** After so much silence a watch counts as broken: a gateway sends something every 30 s at least. */
  readonly watchTimeout: number;
  /** How long disposing of a session handle may take, if the handle has no timeout of its own. */
  readonly endTimeout: number;
  /** How long to wait for the status behind a result. It usually comes with it. */
  readonly statusTimeout: number;
}

/** The waits of real programs. */
export const DEFAULT_PACING: Pacing = {
  clock: systemClock,
  random: Math.random,
  runAttempts: 4,
  runBackoff: { initial: 200, maximum: 5_000 },
  repeatAttempts: 4,
  repeatBackoff: { initial: 100, maximum: 2_000 },
  reconnect: { initial: 100, maximum: 5_000 },
  connectTimeout: 20_000,
  replyTimeout: 10_000,
  watchTimeout: 100_000,
  endTimeout: 10_000,
  statusTimeout: 1_000,
};

/** Returns the wait after attempt 0, 1, ...: between half and all of its step, as `random` (0 to 1) says. */
export function backoffDelay(backoff: Backoff, attempt: number, random: number): number {
  // The exponent is bounded because a stream may reconnect for weeks.
  const step = Math.min(backoff.maximum, backoff.initial * 2 ** Math.min(attempt, 64));
  return step * (0.5 + random / 2);
}

/** gRPC's header for a deadline has eight digits. */
const LONGEST_TIMEOUT = 99_999_999;

/** A moment by which a request, with all its attempts, must be over; or none. */
export class Deadline {
  readonly #clock: Clock;
  readonly #moment: number | undefined;

  /**
   * Starts counting now; undefined never ends.
   *
   * @throws RangeError if it is not a number of milliseconds from 0 to 99,999,999 (27 hours).
   */
  constructor(clock: Clock, timeoutMs: number | undefined) {
    if (timeoutMs !== undefined && !(timeoutMs >= 0 && timeoutMs <= LONGEST_TIMEOUT)) {
      throw new RangeError(`timeoutMs must be between 0 and ${LONGEST_TIMEOUT}, not ${timeoutMs}`);
    }
    this.#clock = clock;
    this.#moment = timeoutMs === undefined ? undefined : clock.now() + timeoutMs;
  }

  /** The milliseconds left, below 0 when it has passed; undefined if there is no end. */
  remaining(): number | undefined {
    return this.#moment === undefined ? undefined : this.#moment - this.#clock.now();
  }
}

/** Lets one loop sleep until a moment, or until something has changed. */
export class Alarm {
  #bell = new AbortController();

  /** Wakes the sleeper, or keeps it from falling asleep the next time. */
  ring(): void {
    this.#bell.abort();
  }

  /** Resolves after so many milliseconds, or when the alarm rings. */
  async sleep(clock: Clock, milliseconds: number): Promise<void> {
    await clock.sleep(milliseconds, this.#bell.signal);
    if (this.#bell.signal.aborted) {
      this.#bell = new AbortController();
    }
  }
}
