/** The connection to a gateway, and one request over it. */

import { ConnectError, createClient } from '@connectrpc/connect';
import type { CallOptions as StubOptions, Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';

import { Connection } from './connection.js';
import { SessionGatewayError } from './errors.js';
import type { RunState } from './errors.js';
import { Flight, ServerCall } from './flight.js';
import { AppService } from './gen/sessiongateway/v1/apps_pb.js';
import type {
  RunRequest,
  RunResponse,
  RunStreamResponse,
  StreamKeepaliveRequest,
  StreamKeepaliveResponse,
  WatchSessionsRequest,
  WatchSessionsResponse,
} from './gen/sessiongateway/v1/sessions_pb.js';
import { SessionService } from './gen/sessiongateway/v1/sessions_pb.js';
import { backoffDelay } from './pacing.js';
import type { Deadline, Pacing } from './pacing.js';
import { onAbort } from './signals.js';
import { transportError } from './status.js';
import type { TlsOptions } from './types.js';
import { VERSION } from './version.js';

const MAX_ANSWER = 64 * 1024 * 1024;

const PINGS = {
  // Finds a host that vanished during a long run. Servers refuse pings that come more often than every 5 minutes.
  pingIntervalMs: 330_000,
  pingTimeoutMs: 20_000,
};

/** The services of a gateway. */
export interface Stubs {
  readonly sessions: Client<typeof SessionService>;
  readonly apps: Client<typeof AppService>;
}

/** One connection, opened with the first request and again whenever it is needed and gone. */
export class Transport {
  /** HOST:PORT. */
  readonly address: string;
  readonly #pacing: Pacing;
  readonly #manager: Connection;
  readonly #stubs: Stubs;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #flights = new Set<Flight>();
  #closed = false;

  /**
   * Remembers where to connect; nothing is opened yet.
   *
   * @throws TypeError if the address is not HOST:PORT, or the key holds characters that cannot be sent.
   */
  constructor(address: string, apiKey: string | undefined, tls: TlsOptions | undefined, pacing: Pacing) {
    this.address = address;
    this.#pacing = pacing;
    this.#headers = headers(apiKey);
    const baseUrl = url(address, tls !== undefined);
    // Node's limit of 10 MB for all that a connection holds is less than one large answer.
    const nodeOptions = { ...definedOnly(tls), maxSessionMemory: 4096 };
    this.#manager = new Connection(baseUrl, PINGS, nodeOptions, pacing);
    const transport = createGrpcTransport({ baseUrl, sessionManager: this.#manager, readMaxBytes: MAX_ANSWER });
    this.#stubs = { sessions: createClient(SessionService, transport), apps: createClient(AppService, transport) };
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
          await this.#connect(flight, deadline, undefined);
          return await method(this.#stubs, this.#options(flight, deadline));
        } catch (reason) {
          const failure = reason instanceof SessionGatewayError ? reason : flight.failure(reason);
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
   * Sends a run, once, and only over a connection that stands.
   *
   * @throws SessionGatewayError if it failed; the run state is "not_started" if it was never sent.
   */
  async run(request: RunRequest, deadline: Deadline, signal?: AbortSignal): Promise<RunResponse> {
    const flight = this.#begin(true, signal);
    try {
      await this.#connect(flight, deadline, 'not_started');
      return await this.#stubs.sessions.run(request, this.#options(flight, deadline)).catch((reason: unknown) => {
        throw flight.failure(reason);
      });
    } finally {
      flight.end();
    }
  }

  /**
   * Sends a run that answers in parts, once, and only over a connection that stands. Its errors show in `next`.
   *
   * @throws SessionGatewayError if there is no connection; the run state is "not_started".
   */
  async runStream(
    request: RunRequest,
    deadline: Deadline,
    signal?: AbortSignal,
  ): Promise<ServerCall<RunStreamResponse>> {
    const flight = this.#begin(true, signal);
    try {
      await this.#connect(flight, deadline, 'not_started');
      return new ServerCall(flight, this.#stubs.sessions.runStream(request, this.#options(flight, deadline)));
    } catch (failure) {
      flight.end();
      throw failure;
    }
  }

  /** Opens a keepalive stream; errors show when it is read. */
  streamKeepalive(requests: AsyncIterable<StreamKeepaliveRequest>): ServerCall<StreamKeepaliveResponse> {
    const flight = this.#begin(false);
    return new ServerCall(flight, this.#stubs.sessions.streamKeepalive(requests, this.#options(flight)));
  }

  /** Opens a watch; errors show when it is read. */
  watchSessions(request: WatchSessionsRequest): ServerCall<WatchSessionsResponse> {
    const flight = this.#begin(false);
    return new ServerCall(flight, this.#stubs.sessions.watchSessions(request, this.#options(flight)));
  }

  /** Cancels what is in flight and closes the connection. May be called twice. */
  close(): void {
    this.#closed = true;
    for (const flight of [...this.#flights]) {
      flight.cancel('the client was closed during the request');
    }
    this.#manager.abort();
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

  /**
   * Waits until there is a connection: what fails before that was surely not sent.
   *
   * A host may take a connection and never finish it; after `connectTimeout` it counts as one that cannot be reached.
   */
  async #connect(flight: Flight, deadline: Deadline, runState: RunState | undefined): Promise<void> {
    const { clock, connectTimeout } = this.#pacing;
    const remaining = deadline.remaining() ?? Infinity;
    const settled = new AbortController();
    const unfollow = onAbort(flight.signal, () => {
      settled.abort();
    });
    const timer = clock.sleep(Math.min(remaining, connectTimeout), settled.signal).then(() => 'late' as const);
    const isUseless = flight.signal.aborted || remaining <= 0;
    const outcome = isUseless ? 'late' : await Promise.race([this.#manager.connect(), timer]);
    unfollow();
    settled.abort();
    if (flight.signal.aborted) {
      throw flight.failure(undefined, 'not_started');
    }
    if (outcome === 'late' && remaining <= connectTimeout) {
      const message = `no connection to ${this.address} in the time given`;
      throw transportError('DEADLINE_EXCEEDED', message, runState);
    }
    if (outcome === 'late' || outcome === 'error') {
      const cause = outcome === 'late' ? new Error('it does not answer') : this.#manager.error();
      if (this.#manager.state() === 'connecting') {
        this.#manager.abort();
      }
      const reason = cause === undefined ? '' : `: ${ConnectError.from(cause).rawMessage}`;
      throw transportError('UNAVAILABLE', `no connection to ${this.address}${reason}`, runState, cause);
    }
  }
}

function url(address: string, isEncrypted: boolean): string {
  const text = `${isEncrypted ? 'https' : 'http'}://${address}`;
  if (!/^(\[[^\]]+\]|[^:/?#@\s]+):\d{1,5}$/.test(address) || !URL.canParse(text)) {
    throw new TypeError(`the address of the gateway must be HOST:PORT, not '${address}'`);
  }
  return text;
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

function definedOnly(tls: TlsOptions = {}): Record<string, string | Buffer> {
  const given = Object.entries(tls as Record<string, string | Uint8Array | undefined>);
  const defined = given.filter((entry): entry is [string, string | Uint8Array] => entry[1] !== undefined);
  return Object.fromEntries(
    defined.map(([name, value]) => [name, typeof value === 'string' ? value : Buffer.from(value)]),
  );
}
