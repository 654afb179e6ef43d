/** The HTTP/2 connection under a client. */

import type { ClientHttp2Stream, Http2Session } from 'node:http2';

import { Http2SessionManager } from '@connectrpc/connect-node';

/**
 * Opens a connection when one is needed.
 *
 * A connection that the gateway closes may tell its error when the manager has already turned to the next one and no
 * longer listens; Node makes an uncaught exception of that. What matters of it shows in the requests, so it is dropped.
 */
export class Connection extends Http2SessionManager {
  readonly #guarded = new WeakSet<Http2Session>();

  override async request(...given: Parameters<Http2SessionManager['request']>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...given);
    const { session } = stream;
    if (session !== undefined && !this.#guarded.has(session)) {
      this.#guarded.add(session);
      session.on('error', () => undefined);
    }
    return stream;
  }
}
