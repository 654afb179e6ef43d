/** The HTTP/2 connection under a client. */

import type { ClientHttp2Stream, Http2Session, IncomingHttpHeaders } from 'node:http2';

import { fromBinary } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { Code, ConnectError } from '@connectrpc/connect';
import { Http2SessionManager } from '@connectrpc/connect-node';

import { StatusSchema } from './gen/google/rpc/status_pb.js';
import type { Pacing } from './pacing.js';

const DETAILS = 'grpc-status-details-bin';

/** Opens a connection when one is needed, and keeps from Connect what it cannot bear. */
export class Connection extends Http2SessionManager {
  readonly #guarded = new WeakSet<Http2Session>();
  readonly #pacing: Pick<Pacing, 'clock' | 'connectTimeout'>;

  constructor(
    url: string,
    pings: ConstructorParameters<typeof Http2SessionManager>[1],
    options: ConstructorParameters<typeof Http2SessionManager>[2],
    pacing: Pick<Pacing, 'clock' | 'connectTimeout'>,
  ) {
    super(url, pings, options);
    this.#pacing = pacing;
  }

  override async request(...given: Parameters<Http2SessionManager['request']>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...given);
    stream.on('response', dropUnreadableDetails).on('trailers', dropUnreadableDetails);
    this.#guard(stream.session);
    return stream;
  }

  /**
   * A connection that the gateway closes may tell its error when the manager has already turned to the next one and no
   * longer listens; Node makes an uncaught exception of that. What matters of it shows in the requests.
   */
  #guard(session: Http2Session | undefined): void {
    if (session !== undefined && !this.#guarded.has(session)) {
      this.#guarded.add(session);
      session.on('error', () => undefined);
      void this.#expectAnswer(session);
    }
  }

  /** For Node a connection stands before the other side has said a word, which may be no gateway at all. */
  async #expectAnswer(session: Http2Session): Promise<void> {
    const settled = new AbortController();
    const settle = () => {
      settled.abort();
    };
    session.once('remoteSettings', settle).once('close', settle);
    await this.#pacing.clock.sleep(this.#pacing.connectTimeout, settled.signal);
    if (!settled.signal.aborted) {
      session.destroy(new ConnectError('the other side does not speak HTTP/2', Code.Unavailable));
    }
  }
}

/** Connect reads the status from its details alone: if a proxy has made garbage of them, it would be hidden. */
function dropUnreadableDetails(headers: IncomingHttpHeaders): void {
  const details = headers[DETAILS];
  if (details !== undefined && !isErrorStatus(String(details))) {
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- they are Node's, and Connect reads them next
    delete headers[DETAILS];
  }
}

function isErrorStatus(details: string): boolean {
  try {
    return fromBinary(StatusSchema, base64Decode(details)).code !== 0;
  } catch {
    return false;
  }
}
