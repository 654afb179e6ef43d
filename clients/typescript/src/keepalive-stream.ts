/** What becomes of sessions that are being renewed, as its caller iterates over it. */

import type { Renewer } from './renewer.js';
import type { KeepaliveEvent } from './types.js';

/**
 * Renews sessions until it is closed, and iterates over what happens to them.
 *
 * Who iterates more slowly than the sessions are renewed sees only the newest renewal of each; a loss is never skipped.
 * Iterating ends when all sessions are lost or the stream is closed.
 */
export class KeepaliveStream implements AsyncIterableIterator<KeepaliveEvent> {
  readonly #discards = new Map<string, () => void>();
  readonly #news = new Map<string, KeepaliveEvent>();
  readonly #active: Set<KeepaliveStream>;
  #turn: Promise<unknown> = Promise.resolve();
  #wake: () => void = () => undefined;

  /**
   * @internal Starts at once. Made by `client.streamKeepalive`. Is in `active` while it renews any session.
   *
   * @throws TypeError if an id is not a string, or empty.
   */
  constructor(renewer: Renewer, sessionIds: Iterable<string>, active: Set<KeepaliveStream>) {
    this.#active = active;
    const ids = new Set(typeof sessionIds === 'string' ? [sessionIds] : sessionIds);
    for (const sessionId of ids) {
      checkId(sessionId);
    }
    for (const sessionId of ids) {
      const discard = renewer.add(sessionId, (event) => {
        this.#put(event);
      });
      this.#discards.set(sessionId, discard);
      active.add(this);
    }
  }

  /** Returns the next event. Steps that are asked for at once are taken one after another. */
  next(): Promise<IteratorResult<KeepaliveEvent, undefined>> {
    const step = this.#turn.then(() => this.#next());
    this.#turn = step;
    return step;
  }

  async #next(): Promise<IteratorResult<KeepaliveEvent, undefined>> {
    for (;;) {
      for (const [sessionId, event] of this.#news) {
        this.#news.delete(sessionId);
        return { done: false, value: event };
      }
      if (this.#discards.size === 0) {
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Stops renewing. May be called twice. */
  close(): void {
    for (const discard of this.#discards.values()) {
      discard();
    }
    this.#discards.clear();
    this.#active.delete(this);
    this.#wake();
  }

  /** Closes the stream when a loop is left. */
  return(): Promise<IteratorResult<KeepaliveEvent, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #put(event: KeepaliveEvent): void {
    // Taken out first, so that it goes to the end: no session's news can keep back those of another.
    this.#news.delete(event.sessionId);
    this.#news.set(event.sessionId, event);
    if (event.error !== undefined) {
      this.#discards.delete(event.sessionId);
      if (this.#discards.size === 0) {
        this.#active.delete(this);
      }
    }
    this.#wake();
  }
}

/** That of a session handle is undefined before its first call, which would be sent as text. */
function checkId(sessionId: unknown): void {
  if (typeof sessionId !== 'string' || sessionId === '') {
    throw new TypeError(`a session id must be a string that is not empty, not ${String(sessionId) || "''"}`);
  }
}
