/** A clock that moves when a test says so. */

import type { Clock } from '../../src/pacing.js';

interface Sleeper {
  readonly until: number;
  readonly milliseconds: number;
  readonly wake: () => void;
}

/** Remembers who sleeps, and wakes them as it is advanced. */
export class FakeClock implements Clock {
  readonly #sleepers = new Set<Sleeper>();
  #now = 0;
  readonly #watchers = new Set<() => void>();
  #sleeps = 0;

  /** How often somebody has gone to sleep. */
  get sleeps(): number {
    return this.#sleeps;
  }

  now(): number {
    return this.#now;
  }

  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    this.#sleeps += 1;
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper = { until: this.#now + milliseconds, milliseconds, wake };
      if (signal?.aborted) {
        resolve();
        return;
      }
      signal?.addEventListener('abort', wake);
      this.#sleepers.add(sleeper);
      for (const watcher of this.#watchers) {
        watcher();
      }
      this.#watchers.clear();
    });
  }

  /** Waits until somebody, or so many, sleep for so long. */
  async sleeping(milliseconds: number, count = 1): Promise<void> {
    const isMeant = (sleeper: Sleeper) => Math.abs(sleeper.milliseconds - milliseconds) < 1e-6;
    while ([...this.#sleepers].filter(isMeant).length < count) {
      await new Promise<void>((resolve) => {
        this.#watchers.add(resolve);
      });
    }
  }

  /** Lets time pass. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
    for (const sleeper of [...this.#sleepers]) {
      if (sleeper.until <= this.#now) {
        sleeper.wake();
      }
    }
  }

  /** Waits until somebody sleeps for so long, and lets that time pass. */
  async pass(milliseconds: number): Promise<void> {
    await this.sleeping(milliseconds);
    this.advance(milliseconds);
  }
}
