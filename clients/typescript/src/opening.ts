/** How the calls of a session handle take turns until one of them has opened the session. */

import { CancelledError, DeadlineExceededError } from './errors.js';
import type { Clock, Deadline } from './pacing.js';
import { onAbort } from './signals.js';

/** Who asks for the turn, and for how long it waits. */
export interface Asker {
  readonly deadline: Deadline;
  readonly signal: AbortSignal | undefined;
  /** While it has the turn others are refused instead of waiting: the reader of a stream could be among them. */
  readonly isForReader: boolean;
}

/** Lets one call at a time try to open the session. */
export class Opening {
  readonly #clock: Clock;
  readonly #isOpen: () => boolean;
  #released: Promise<void> | undefined;
  #isForReader = false;

  constructor(clock: Clock, isOpen: () => boolean) {
    this.#clock = clock;
    this.#isOpen = isOpen;
  }

  /**
   * Waits for the right to try. Returns what gives it back; undefined if the session is open.
   *
   * @throws TypeError if a stream has it.
   * @throws DeadlineExceededError if it did not come in time.
   * @throws CancelledError if the signal was aborted meanwhile.
   */
  async turn(asker: Asker): Promise<(() => void) | undefined> {
    while (this.#released !== undefined && !this.#isOpen()) {
      this.#refuseForReader();
      await this.#wait(this.#released, asker);
    }
    if (this.#isOpen()) {
      return undefined;
    }
    let release: () => void = () => undefined;
    this.#released = new Promise((resolve) => {
      release = resolve;
    });
    this.#isForReader = asker.isForReader;
    return () => {
      this.#released = undefined;
      this.#isForReader = false;
      release();
    };
  }

  #refuseForReader(): void {
    if (this.#isForReader) {
      throw new TypeError('the session is being opened by a stream: read it to its end, or close it, first');
    }
  }

  async #wait(released: Promise<void>, { deadline, signal }: Asker): Promise<void> {
    const settled = new AbortController();
    const unfollow = onAbort(signal, () => {
      settled.abort();
    });
    await Promise.race([released, this.#clock.sleep(deadline.remaining() ?? Infinity, settled.signal)]);
    unfollow();
    settled.abort();
    if (signal?.aborted) {
      throw new CancelledError('the request was aborted by its caller', {
        runState: 'not_started',
        cause: signal.reason as unknown,
      });
    }
    if ((deadline.remaining() ?? 1) <= 0) {
      throw new DeadlineExceededError('the session was not open in the time given', { runState: 'not_started' });
    }
  }
}
