/** How the calls of a session handle take turns until one of them has opened the session. */

import { CancelledError, DeadlineExceededError } from './errors.js';
import type { Clock, Deadline } from './pacing.js';
import { onAbort } from './signals.js';

/** The right to try to open the session; others wait until it is released. */
export interface Turn {
  /** From now on others are refused instead of waiting: the reader of a stream could be among them. */
  keepForReader(): void;
  /** Lets the next one try. */
  release(): void;
}

/** Lets one call at a time try to open the session. */
export class Opening {
  #released: Promise<void> | undefined;
  #isForReader = false;

  /**
   * Waits for the turn.
   *
   * @throws TypeError if a stream has it.
   * @throws DeadlineExceededError if it did not come in time.
   * @throws CancelledError if the signal was aborted meanwhile.
   */
  async turn(deadline: Deadline, clock: Clock, signal: AbortSignal | undefined): Promise<Turn> {
    while (this.#released !== undefined) {
      this.#refuseForReader();
      await this.#wait(this.#released, deadline, clock, signal);
    }
    let release: () => void = () => undefined;
    this.#released = new Promise((resolve) => {
      release = resolve;
    });
    return {
      keepForReader: () => {
        this.#isForReader = true;
      },
      release: () => {
        this.#released = undefined;
        this.#isForReader = false;
        release();
      },
    };
  }

  #refuseForReader(): void {
    if (this.#isForReader) {
      throw new TypeError('the session is being opened by a stream: read it to its end, or close it, first');
    }
  }

  async #wait(
    released: Promise<void>,
    deadline: Deadline,
    clock: Clock,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const settled = new AbortController();
    const unfollow = onAbort(signal, () => {
      settled.abort();
    });
    await Promise.race([released, clock.sleep(deadline.remaining() ?? Infinity, settled.signal)]);
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
