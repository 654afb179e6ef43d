/** The connection to a gateway, and one request over it. */

import type { ConnectionOptions } from 'node:tls';

import type { CallOptions as StubOptions } from '@connectrpc/connect';

import { Flight, ServerCall } from './flight.js';
import type {
  RunRequest,
  RunResponse,
  RunStreamResponse,
  StreamKeepaliveRequest,
  StreamKeepaliveResponse,
  WatchSessionsRequest,
  WatchSessionsResponse,
} from './gen/sessiongateway/v1/sessions_pb.js';
import { Line } from './line.js';
import type { Stubs } from './line.js';
import { backoffDelay } from './pacing.js';
import type { Deadline, Pacing } from './pacing.js';
import { readAddress, Route } from './route.js';
import type { Place } from './route.js';
import type { TlsOptions } from './types.js';
import { VERSION } from './version.js';

/** Sends over one connection to each gateway; over another one from when that has gone silent. */
export class Transport {
  readonly #pacing: Pacing;
  readonly #route: Route;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #flights = new Set<Flight>();
  #closed = false;

  /**
   * Remembers where to connect; nothing is opened yet.
   *
   * @throws TypeError if the address is not HOST:PORT, or the key holds characters that cannot be sent.
   */
  constructor(address: string, apiKey: string | undefined, tls: TlsOptions | undefined, pacing: Pacing) {
    this.#pacing = pacing;
    this.#headers = headers(apiKey);
    const open = (place: Place) => new Line(place, tls !== undefined, definedOnly(tls), pacing);
    this.#route = new Route(readAddress(address), pacing, open);
  }

  /**
   * Sends a request that is safe to repeat, and repeats it a few times while the gateway cannot be reached.
   *
   * @throws SessionGatewayError if it failed.
   */
  async send<Response>(
    method: (stubs: Stubs, options: StubOptions) => Promise<Response>,
    deadline: Deadline,
    signal?: AbortSignal,
  ): Promise<Response> {
    const flight = this.#begin(false, signal);
    const { repeatAttempts, repeatBackoff, random, clock } = this.#pacing;
    try {
      for (let attempt = 0; ; attempt += 1) {
        try {
          const line = await this.#route.connect(flight, deadline, undefined);
          return await method(line.stubs, this.#options(flight, deadline));
        } catch (reason) {
          const failure = flight.failure(reason);
          const pause = Math.max(failure.retryAfterMs ?? 0, backoffDelay(repeatBackoff, attempt, random()));
          const isLast = attempt + 1 >= repeatAttempts || pause >= (deadline.remaining() ?? Infinity);
          if (failure.grpcStatus !== 'UNAVAILABLE' || isLast) {
            throw failure;
          }
          await clock.sleep(pause, flight.signal);
        }
      }
    } finally {
      flight.end();
    }
  }

  /**
   * Begins a run, which may be sent more than once: aborting it ends the waits in between. Must be ended.
   *
   * @throws TypeError if the client is closed.
   */
  beginRun(signal?: AbortSignal): Flight {
    return this.#begin(true, signal);
  }

  /**
   * Sends a run, once, and only over a connection that stands.
   *
   * @throws SessionGatewayError if it failed; the run state is "not_started" if it was never sent.
   */
  async run(request: RunRequest, deadline: Deadline, signal?: AbortSignal): Promise<RunResponse> {
    const flight = this.#begin(true, signal);
    try {
      const line = await this.#route.connect(flight, deadline, 'not_started');
      return await line.stubs.sessions.run(request, this.#options(flight, deadline));
    } catch (reason) {
      throw flight.failure(reason);
    } finally {
      flight.end();
    }
  }

  /**
   * Sends a run that answers in parts, once, and only over a connection that stands. Its errors show in `next`.
   *
   * @throws SessionGatewayError if there is no connection; the run state is "not_started".
   */
  runStream(request: RunRequest, deadline: Deadline, signal?: AbortSignal): Promise<ServerCall<RunStreamResponse>> {
    const flight = this.#begin(true, signal);
    return this.#stream(flight, deadline, (stubs, options) => stubs.sessions.runStream(request, options));
  }

  /**
   * Opens a keepalive stream over a connection that stands. Its errors show in `next`.
   *
   * @throws SessionGatewayError if there is no connection.
   */
  streamKeepalive(
    requests: AsyncIterable<StreamKeepaliveRequest>,
    signal: AbortSignal,
  ): Promise<ServerCall<StreamKeepaliveResponse>> {
    const flight = this.#begin(false, signal);
    return this.#stream(flight, undefined, (stubs, options) => stubs.sessions.streamKeepalive(requests, options));
  }

  /** Opens a watch as `streamKeepalive` its stream. */
  watchSessions(request: WatchSessionsRequest, signal: AbortSignal): Promise<ServerCall<WatchSessionsResponse>> {
    const flight = this.#begin(false, signal);
    return this.#stream(flight, undefined, (stubs, options) => stubs.sessions.watchSessions(request, options));
  }

  /** Cancels what is in flight and closes the connection. May be called twice. */
  close(): void {
    this.#closed = true;
    for (const flight of [...this.#flights]) {
      flight.cancel('the client was closed during the request');
    }
    this.#route.close();
  }

  async #stream<Message>(
    flight: Flight,
    deadline: Deadline | undefined,
    open: (stubs: Stubs, options: StubOptions) => AsyncIterable<Message>,
  ): Promise<ServerCall<Message>> {
    try {
      const line = await this.#route.connect(flight, deadline, flight.isRun ? 'not_started' : undefined);
      return new ServerCall(flight, open(line.stubs, this.#options(flight, deadline)), () => {
        this.#route.leave(line);
      });
    } catch (failure) {
      flight.end();
      throw failure;
    }
  }

  #begin(isRun: boolean, signal?: AbortSignal): Flight {
    if (this.#closed) {
      throw new TypeError('the client is closed');
    }
    return new Flight(this.#flights, isRun, signal);
  }

  #options(flight: Flight, deadline?: Deadline): StubOptions {
    const remaining = deadline?.remaining();
    return {
      signal: flight.signal,
      headers: this.#headers,
      // 0 would mean none, and the wire has no fractions.
      ...(remaining === undefined ? {} : { timeoutMs: Math.max(1, Math.ceil(remaining)) }),
    };
  }
}

function headers(apiKey: string | undefined): Record<string, string> {
  const found: Record<string, string> = { 'user-agent': `sessiongateway-typescript/${VERSION}` };
  if (!apiKey) {
    return found;
  }
  if (!/^[\x21-\x7e]+$/.test(apiKey)) {
    // Node would refuse it too, but with the key in its message.
    throw new TypeError('the API key holds characters that cannot be sent; is there a line break at its end?');
  }
  return { ...found, authorization: `Bearer ${apiKey}` };
}

function definedOnly(tls: TlsOptions = {}): ConnectionOptions {
  const given = Object.entries(tls as Record<string, string | Uint8Array | undefined>);
  const defined = given.filter((entry): entry is [string, string | Uint8Array] => entry[1] !== undefined);
  return Object.fromEntries(
    defined.map(([name, value]) => [name, typeof value === 'string' ? value : Buffer.from(value)]),
  );
}
