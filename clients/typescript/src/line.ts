/** One connection to a gateway, with its services. */

import type { ConnectionOptions } from 'node:tls';

import { ConnectError, createClient } from '@connectrpc/connect';
import type { Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';

import { Connection } from './connection.js';
import type { RunState } from './errors.js';
import type { Flight } from './flight.js';
import { AppService } from './gen/sessiongateway/v1/apps_pb.js';
import { SessionService } from './gen/sessiongateway/v1/sessions_pb.js';
import type { Deadline, Pacing } from './pacing.js';
import type { Place } from './route.js';
import { onAbort } from './signals.js';
import { transportError } from './status.js';

const MAX_ANSWER = 64 * 1024 * 1024;

/** The services of a gateway. */
export interface Stubs {
  readonly sessions: Client<typeof SessionService>;
  readonly apps: Client<typeof AppService>;
}

/** Opened with the first request, and again whenever it is needed and gone. */
export class Line {
  readonly stubs: Stubs;
  /** Where it leads. */
  readonly place: Place;
  readonly #address: string;
  readonly #connection: Connection;
  readonly #pacing: Pacing;

  /** Remembers where to connect. */
  constructor(place: Place, isEncrypted: boolean, tls: ConnectionOptions, pacing: Pacing) {
    const baseUrl = `${isEncrypted ? 'https' : 'http'}://${place.authority}`;
    this.place = place;
    this.#address = place.authority;
    this.#pacing = pacing;
    this.#connection = new Connection(baseUrl, tls, pacing, place.ip);
    const transport = createGrpcTransport({ baseUrl, sessionManager: this.#connection, readMaxBytes: MAX_ANSWER });
    this.stubs = { sessions: createClient(SessionService, transport), apps: createClient(AppService, transport) };
  }

  /** Whether it is being opened at this moment. */
  get isConnecting(): boolean {
    return this.#connection.state() === 'connecting';
  }

  /** Whether it stands, as far as is known. */
  get isOpen(): boolean {
    return ['open', 'idle', 'verifying'].includes(this.#connection.state());
  }

  /** Opens it, unless it is open, and returns whether that was possible. */
  reach(): Promise<boolean> {
    return this.#connection.reach();
  }

  /**
   * Waits until there is a connection, for `connectTimeout` at most: what fails before that was surely not sent.
   *
   * @throws SessionGatewayError if there is none.
   */
  async connect(flight: Flight, deadline: Deadline | undefined, runState: RunState | undefined): Promise<void> {
    const { clock, connectTimeout } = this.#pacing;
    const remaining = deadline?.remaining() ?? Infinity;
    const settled = new AbortController();
    const unfollow = onAbort(flight.signal, () => {
      settled.abort();
    });
    const timer = clock.sleep(Math.min(remaining, connectTimeout), settled.signal).then(() => 'late' as const);
    const isUseless = flight.signal.aborted || remaining <= 0;
    const outcome = isUseless ? 'late' : await Promise.race([this.#connection.reach(), timer]);
    unfollow();
    settled.abort();
    if (flight.signal.aborted) {
      throw flight.failure(undefined, 'not_started');
    }
    if (outcome === 'late' && remaining <= connectTimeout) {
      throw transportError('DEADLINE_EXCEEDED', `no connection to ${this.#address} in the time given`, runState);
    }
    if (outcome !== true) {
      const cause = outcome === 'late' ? new Error('it does not answer') : this.#connection.error();
      const reason = cause === undefined ? '' : `: ${ConnectError.from(cause).rawMessage}`;
      throw transportError('UNAVAILABLE', `no connection to ${this.#address}${reason}`, runState, cause);
    }
  }

  /** Closes it once nothing is in flight on it, and says so. */
  retire(onUnused: () => void): void {
    this.#connection.retire(onUnused);
  }

  /** Closes it, and breaks what is in flight on it. */
  close(): void {
    this.#connection.abort();
  }
}
