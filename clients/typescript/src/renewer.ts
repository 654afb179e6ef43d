/** Renews sessions over one stream, and tells whoever holds one how it fares. */

import { create } from '@bufbuild/protobuf';

import { sessionInfo } from './convert.js';
import { SessionGatewayError, StoreUnavailableError } from './errors.js';
import type { ServerCall } from './flight.js';
import type { StreamKeepaliveRequest, StreamKeepaliveResponse } from './gen/sessiongateway/v1/sessions_pb.js';
import { StreamKeepaliveRequestSchema } from './gen/sessiongateway/v1/sessions_pb.js';
import { Outbox } from './outbox.js';
import { Alarm, backoffDelay } from './pacing.js';
import type { Pacing } from './pacing.js';
import { fromDetail, isFinal, transportError } from './status.js';
import type { Transport } from './transport.js';
import type { KeepaliveEvent } from './types.js';

const IDS_PER_MESSAGE = 1000;

/** Renewals that are due within so many milliseconds are sent together. */
const TOGETHER = 50;

/** Hears of every renewal of one session, and once of its loss. Must not throw. */
export type Sink = (event: KeepaliveEvent) => void;

/** A session that is being renewed. */
interface Renewal {
  readonly sinks: Set<Sink>;
  /** Milliseconds; unknown before the first answer. */
  timeout: number | undefined;
  /** When it is to be asked about next. */
  due: number;
  /** When it was last asked about. */
  asked: number;
}

/**
 * Keeps any number of sessions alive over one stream, opened again whenever it breaks.
 *
 * Each session is renewed at a third of its timeout, or somewhat earlier, so that many clients do not ask at once. A
 * session that is lost is no longer renewed. Nothing runs while there is no session.
 */
export class Renewer {
  readonly #transport: Transport;
  readonly #pacing: Pacing;
  readonly #live = new Map<string, Renewal>();
  readonly #closing = new AbortController();
  readonly #alarm = new Alarm();
  #running: Promise<void> | undefined;
  #hasAnswered = false;
  /** Since when an answer is missing on the present stream, of those of whom one is. */
  readonly #unanswered = new Map<string, number>();
  /** When the loop wakes up by itself. */
  #wakesAt = Infinity;

  constructor(transport: Transport, pacing: Pacing) {
    this.#transport = transport;
    this.#pacing = pacing;
  }

  /** Renews a session from now on, at once for the first time. Returns what ends that for this sink. */
  add(sessionId: string, sink: Sink): () => void {
    const now = this.#pacing.clock.now();
    const renewal = this.#live.get(sessionId) ?? {
      sinks: new Set(),
      timeout: undefined,
      due: now,
      asked: now,
    };
    renewal.due = now;
    renewal.sinks.add(sink);
    this.#live.set(sessionId, renewal);
    this.#alarm.ring();
    // A moment later, so that sessions which are added together are asked about together.
    this.#running ??= Promise.resolve().then(() => this.#run());
    return () => {
      renewal.sinks.delete(sink);
      if (renewal.sinks.size === 0 && this.#live.get(sessionId) === renewal) {
        this.#live.delete(sessionId);
        this.#unanswered.delete(sessionId);
        this.#alarm.ring();
      }
    };
  }

  /** Renews nothing any more, and closes the stream. May be called twice. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#live.clear();
    this.#alarm.ring();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, random, reconnect } = this.#pacing;
    let attempt = 0;
    while (this.#live.size > 0) {
      let pause = 0;
      try {
        await this.#converse();
      } catch (failure) {
        pause = this.#judge(failure);
      }
      if (this.#live.size > 0) {
        attempt = this.#hasAnswered ? 0 : attempt + 1;
        await clock.sleep(Math.max(pause, backoffDelay(reconnect, attempt, random())), this.#closing.signal);
      }
    }
    this.#running = undefined;
  }

  /** Returns how long the gateway wants to be left alone; tells all when there is no hope. */
  #judge(failure: unknown): number {
    if (failure instanceof SessionGatewayError && !isFinal(failure)) {
      return failure.retryAfterMs ?? 0;
    }
    const told =
      failure instanceof SessionGatewayError
        ? failure
        : new SessionGatewayError(`keepalive failed: ${String(failure)}`, { code: 'KEEPALIVE_FAILED', cause: failure });
    for (const [sessionId, renewal] of [...this.#live]) {
      this.#live.delete(sessionId);
      tell(renewal, { sessionId, error: told });
    }
    return 0;
  }

  /** Uses one stream until nothing is left to renew; throws when it breaks. */
  async #converse(): Promise<void> {
    this.#hasAnswered = false;
    this.#unanswered.clear();
    const outbox = new Outbox<StreamKeepaliveRequest>();
    const call = await this.#transport.streamKeepalive(outbox, this.#closing.signal);
    const now = this.#pacing.clock.now();
    for (const renewal of this.#live.values()) {
      renewal.due = now;
    }
    const reader: { failure?: unknown } = {};
    const reading = this.#read(call).catch((failure: unknown) => {
      reader.failure = failure;
      this.#alarm.ring();
    });
    try {
      while (this.#live.size > 0) {
        this.#ask(outbox);
        await this.#alarm.sleep(this.#pacing.clock, this.#timeLeft(call));
        if ('failure' in reader) {
          throw reader.failure;
        }
      }
    } finally {
      outbox.close();
      call.cancel();
      await reading;
    }
  }

  #ask(outbox: Outbox<StreamKeepaliveRequest>): void {
    const { clock, random, replyTimeout } = this.#pacing;
    const now = clock.now();
    const due = [...this.#live].filter(([, renewal]) => renewal.due <= now);
    if (due.length === 0) {
      return;
    }
    const near = [...this.#live].filter(([, renewal]) => renewal.due > now && renewal.due <= now + TOGETHER);
    const ids: string[] = [];
    for (const [sessionId, renewal] of [...due, ...near]) {
      ids.push(sessionId);
      renewal.asked = now;
      this.#unanswered.set(sessionId, this.#unanswered.get(sessionId) ?? now);
      // Before an answer there is no timeout to go by; a missing one is found after the same while.
      renewal.due = renewal.timeout === undefined ? now + 2 * replyTimeout : now + interval(renewal.timeout, random());
    }
    for (let start = 0; start < ids.length; start += IDS_PER_MESSAGE) {
      outbox.put(create(StreamKeepaliveRequestSchema, { sessionIds: ids.slice(start, start + IDS_PER_MESSAGE) }));
    }
  }

  /** Returns the milliseconds until there is something to do; throws when an answer is overdue. */
  #timeLeft(call: ServerCall<StreamKeepaliveResponse>): number {
    const now = this.#pacing.clock.now();
    this.#wakesAt = Infinity;
    for (const { due } of this.#live.values()) {
      this.#wakesAt = Math.min(this.#wakesAt, due);
    }
    for (const since of this.#unanswered.values()) {
      this.#wakesAt = Math.min(this.#wakesAt, since + this.#pacing.replyTimeout);
      if (since + this.#pacing.replyTimeout <= now) {
        call.giveUp();
        throw transportError('UNAVAILABLE', 'no answer in time', undefined);
      }
    }
    return this.#wakesAt - now;
  }

  async #read(call: ServerCall<StreamKeepaliveResponse>): Promise<never> {
    for (;;) {
      const response = await call.next();
      if (response === undefined) {
        throw transportError('UNAVAILABLE', 'the gateway closed the stream', undefined);
      }
      this.#hasAnswered = true;
      this.#take(response);
    }
  }

  #take({ sessionId, outcome }: StreamKeepaliveResponse): void {
    const renewal = this.#live.get(sessionId);
    if (renewal === undefined) {
      return;
    }
    this.#unanswered.delete(sessionId);
    if (outcome.case === 'error') {
      this.#takeError(renewal, sessionId, fromDetail(outcome.value));
    } else if (outcome.case === 'session') {
      const session = sessionInfo(outcome.value);
      const timeout = session.sessionTimeout * 1000;
      if (timeout !== renewal.timeout) {
        renewal.timeout = timeout;
        renewal.due = renewal.asked + interval(timeout, this.#pacing.random());
      }
      tell(renewal, { sessionId, session });
    }
    // Waking up for each of many answers would look at all sessions each time.
    if (this.#unanswered.size === 0 || this.#live.size === 0 || renewal.due < this.#wakesAt) {
      this.#alarm.ring();
    }
  }

  #takeError(renewal: Renewal, sessionId: string, error: SessionGatewayError): void {
    if (error instanceof StoreUnavailableError) {
      // It lives, and stays on the stream; see "When the store fails" in the contract.
      const { clock, reconnect } = this.#pacing;
      renewal.due = clock.now() + (error.retryAfterMs ?? reconnect.maximum);
    } else {
      this.#live.delete(sessionId);
      tell(renewal, { sessionId, error });
    }
  }
}

function interval(timeout: number, random: number): number {
  return (timeout / 3) * (1 - 0.2 * random);
}

function tell(renewal: Renewal, event: KeepaliveEvent): void {
  for (const sink of [...renewal.sinks]) {
    sink(event);
  }
}
