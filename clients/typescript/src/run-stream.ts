/** A run that answers in parts, as its caller iterates over it. */

import type { JsonObject } from './json.js';
import type { Part } from './runner.js';
import { onAbort } from './signals.js';
import type { RunResult } from './types.js';

/**
 * Iterates over the partial outputs of one run; at the end, `result` has its answer.
 *
 * The run is sent with the first step of the iteration. Nothing is read ahead but what the connection holds, so a reader
 * that is slow slows the function. Whoever leaves early (`break`, `close()`, `await using`) cancels the run on the
 * gateway too.
 *
 * A step rejects with what `run` rejects with, also after outputs have come. A stream that has failed or was closed
 * yields nothing more.
 */
export class RunStream<Yielded = JsonObject, Output = JsonObject> implements AsyncIterableIterator<Yielded> {
  readonly #stop = new AbortController();
  readonly #parts: AsyncGenerator<Part<Output>, void>;
  readonly #unfollow: () => void;
  #turn: Promise<unknown> = Promise.resolve();
  #isClosed = false;
  #result: RunResult<Output> | undefined;

  /**
   * @internal Made by `runStream`, of what yields the outputs and last the result, until the signal that it is given is
   * aborted; that follows the caller's.
   */
  constructor(
    start: (stop: AbortSignal, stream: RunStream<Yielded, Output>) => AsyncGenerator<Part<Output>, void>,
    callersSignal: AbortSignal | undefined,
  ) {
    this.#parts = start(this.#stop.signal, this);
    this.#unfollow = onAbort(callersSignal, () => {
      this.#stop.abort(callersSignal?.reason);
    });
  }

  /**
   * The answer, as `run` returns it.
   *
   * @throws TypeError if the stream was not iterated to its end, or has failed.
   */
  get result(): RunResult<Output> {
    if (this.#result === undefined) {
      throw new TypeError('the stream has no result: it was not read to its end, was closed, or failed');
    }
    return this.#result;
  }

  /** Returns the next partial output. Steps that are asked for at once are taken one after another. */
  next(): Promise<IteratorResult<Yielded, undefined>> {
    // Closing later makes this step reject, however early in it that comes.
    const isOver = this.#isClosed;
    const step = this.#turn.then(() => this.#next(isOver));
    this.#turn = step.catch(() => undefined);
    return step;
  }

  async #next(isOver: boolean): Promise<IteratorResult<Yielded, undefined>> {
    if (isOver || this.#result !== undefined) {
      return { done: true, value: undefined };
    }
    const step = await this.#parts.next().catch((failure: unknown) => {
      this.#unfollow();
      throw failure;
    });
    if (step.done) {
      return { done: true, value: undefined };
    }
    if (step.value.kind === 'partial') {
      return { done: false, value: step.value.value as Yielded };
    }
    this.#result = step.value.value;
    this.#unfollow();
    await this.#parts.return();
    return { done: true, value: undefined };
  }

  /** Passes over the partial outputs that are left, and returns the result. */
  async finish(): Promise<RunResult<Output>> {
    for (;;) {
      const { done } = await this.next();
      if (done) {
        return this.result;
      }
    }
  }

  /** Cancels the run unless it has ended. A step that waits meanwhile rejects. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unfollow();
    this.#stop.abort(new DOMException('the stream was closed before its result', 'AbortError'));
    await this.#turn;
    await this.#parts.return();
  }

  /** Closes the stream when a loop is left. */
  async return(): Promise<IteratorResult<Yielded, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
