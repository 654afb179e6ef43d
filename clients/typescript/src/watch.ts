/** A watch of the caller's sessions that survives broken connections and gateways that come back. */

import { create } from '@bufbuild/protobuf';

import { text, watchEvent } from './convert.js';
import { GatewayDrainingError, SessionGatewayError, StoreUnavailableError } from './errors.js';
import type { ServerCall } from './flight.js';
import type { WatchSessionsResponse } from './gen/sessiongateway/v1/sessions_pb.js';
import { WatchSessionsRequestSchema } from './gen/sessiongateway/v1/sessions_pb.js';
import { checkOptions } from './options.js';
import type { Known } from './options.js';
import { backoffDelay } from './pacing.js';
import type { Pacing } from './pacing.js';
import { isFinal, transportError } from './status.js';
import type { Transport } from './transport.js';
import type { WatchEvent } from './types.js';

/** What is watched. */
export interface WatchOptions {
  /** That of the last event that was read, here or in another process: what has happened since comes first. */
  resumeToken?: string | undefined;
  /** Only sessions of this app, "name" or "name@version". A token is good for the same app only. */
  app?: string | undefined;
  /** Show the events "watching", too, which come at the beginning, after a reconnection, and after quiet times. */
  showWatching?: boolean | undefined;
}

const OPTIONS: Known<WatchOptions> = { resumeToken: true, app: true, showWatching: true };

/**
 * Iterates over what happens to the caller's sessions, until it is closed.
 *
 * `await watch.opened()` waits until the watch stands: what happens from then on is told. Without that the first step
 * of the iteration opens it. From then on, when the connection breaks or the gateway stops, it is opened again behind
 * the last event that was read, as often as it takes: nothing is left out and nothing comes twice.
 *
 * Whoever iterates slowly falls behind at the gateway, which keeps events for as long as it keeps finished sessions. An
 * error ends a step, not the watch: iterating on tries again behind the same event.
 */
export class WatchStream implements AsyncIterableIterator<WatchEvent> {
  readonly #transport: Transport;
  readonly #pacing: Pacing;
  readonly #app: string;
  readonly #showsWatching: boolean;
  readonly #active: Set<WatchStream>;
  readonly #closing = new AbortController();
  #token: string;
  #call: ServerCall<WatchSessionsResponse> | undefined;
  #step: Promise<WatchEvent | undefined> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #stands: Promise<void>;
  #onStanding: () => void = () => undefined;
  #standing = false;
  #attempt = 0;

  /**
   * @internal Made by `client.sessions.watch`. Is in `active` while it has a stream, or waits for one.
   *
   * @throws TypeError if an option is unknown, or the token or the app is not text.
   */
  constructor(transport: Transport, pacing: Pacing, options: WatchOptions, active: Set<WatchStream>) {
    checkOptions('sessions.watch', options, OPTIONS);
    this.#transport = transport;
    this.#pacing = pacing;
    this.#token = text('resumeToken', options.resumeToken) ?? '';
    this.#app = text('app', options.app) ?? '';
    this.#showsWatching = options.showWatching ?? false;
    this.#active = active;
    this.#stands = new Promise((resolve) => {
      this.#onStanding = resolve;
    });
  }

  /** Continues behind the last event that was read; "" before the watch stands. Good after a restart, too. */
  get resumeToken(): string {
    return this.#token;
  }

  /**
   * Waits until the watch stands.
   *
   * @throws SessionGatewayError if the gateway cannot be reached, or refuses the token or the app.
   */
  async opened(): Promise<this> {
    if (!this.#standing && !this.#isClosed()) {
      const step = this.#begin();
      try {
        await Promise.race([step, this.#stands]);
      } catch (failure) {
        // Others may have waited for it too, and one of them may have begun anew.
        if (this.#step === step) {
          this.#step = undefined;
        }
        throw failure;
      }
    }
    return this;
  }

  /** Returns the next event. Steps that are asked for at once are taken one after another. */
  next(): Promise<IteratorResult<WatchEvent, undefined>> {
    const step = this.#turn.then(() => this.#next());
    this.#turn = step.catch(() => undefined);
    return step;
  }

  async #next(): Promise<IteratorResult<WatchEvent, undefined>> {
    if (this.#isClosed()) {
      return { done: true, value: undefined };
    }
    let event: WatchEvent | undefined;
    try {
      event = await this.#begin();
    } finally {
      this.#step = undefined;
    }
    // Closed meanwhile: the event is not lost, since the token stays before it.
    if (event === undefined || this.#isClosed()) {
      return { done: true, value: undefined };
    }
    this.#token = event.resumeToken;
    return { done: false, value: event };
  }

  /** Watches no longer; an iteration that waits ends. May be called twice. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#active.delete(this);
    this.#drop();
    await this.#turn;
  }

  /** Closes the watch when a loop is left. */
  async return(): Promise<IteratorResult<WatchEvent, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  #begin(): Promise<WatchEvent | undefined> {
    if (this.#step === undefined) {
      this.#active.add(this);
      this.#step = this.#read();
      // It may fail while nobody waits for it, between `opened` and the first step; that step then tells.
      this.#step.catch(() => undefined);
    }
    return this.#step;
  }

  /** Returns the next event that is to be shown, over as many streams as it takes; undefined when closed. */
  async #read(): Promise<WatchEvent | undefined> {
    while (!this.#isClosed()) {
      let event: WatchEvent;
      try {
        event = watchEvent(await this.#receive());
      } catch (failure) {
        await this.#recover(failure);
        continue;
      }
      this.#standing = true;
      this.#onStanding();
      this.#attempt = 0;
      if (event.event !== 'watching' || this.#showsWatching) {
        return event;
      }
      this.#token = event.resumeToken;
    }
    return undefined;
  }

  /** Returns the next message of the present stream, or of a new one. */
  async #receive(): Promise<WatchSessionsResponse> {
    const request = create(WatchSessionsRequestSchema, { resumeToken: this.#token, app: this.#app });
    this.#call ??= await this.#transport.watchSessions(request, this.#closing.signal);
    const call = this.#call;
    const { clock, watchTimeout } = this.#pacing;
    const settled = new AbortController();
    const silence = clock.sleep(watchTimeout, settled.signal).then(() => {
      if (!settled.signal.aborted) {
        call.giveUp();
      }
      throw transportError('UNAVAILABLE', 'no word from the gateway in time', undefined);
    });
    try {
      const message = await Promise.race([call.next(), silence]);
      if (message === undefined) {
        throw transportError('UNAVAILABLE', 'the gateway closed the stream', undefined);
      }
      return message;
    } finally {
      silence.catch(() => undefined);
      settled.abort();
    }
  }

  /** Waits until the stream may be opened again. Throws the failure when that is of no use. */
  async #recover(failure: unknown): Promise<void> {
    this.#drop();
    if (this.#isClosed()) {
      return;
    }
    const { clock, random, reconnect, runAttempts } = this.#pacing;
    const isTemporary = failure instanceof GatewayDrainingError || failure instanceof StoreUnavailableError;
    const isHopeful = this.#standing || (isTemporary && this.#attempt + 1 < runAttempts);
    if (!(failure instanceof SessionGatewayError) || isFinal(failure) || !isHopeful) {
      this.#attempt = 0;
      this.#active.delete(this);
      throw failure;
    }
    const pause = backoffDelay(reconnect, this.#attempt, random());
    this.#attempt += 1;
    await clock.sleep(Math.max(pause, failure.retryAfterMs ?? 0), this.#closing.signal);
  }

  #drop(): void {
    const call = this.#call;
    this.#call = undefined;
    call?.cancel();
  }
}
