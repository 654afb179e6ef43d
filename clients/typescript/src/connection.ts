/** The HTTP/2 connection under a client. */

import type { ClientHttp2Stream, Http2Session, IncomingHttpHeaders } from 'node:http2';
import { connect as connectPlain, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectEncrypted } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';

import { fromBinary } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { Code, ConnectError } from '@connectrpc/connect';
import { Http2SessionManager } from '@connectrpc/connect-node';

import { StatusSchema } from './gen/google/rpc/status_pb.js';
import type { Pacing } from './pacing.js';

const DETAILS = 'grpc-status-details-bin';

/** Node's limit of 10 MB for all that a connection holds is less than one large answer. */
const MAX_MEMORY_MB = 4096;

const PINGS = {
  // Finds a host that vanished during a long run. Servers refuse pings that come more often than every 5 minutes.
  pingIntervalMs: 330_000,
  pingTimeoutMs: 20_000,
};

type Limits = Pick<Pacing, 'clock' | 'connectTimeout'>;

/** Opens a connection when one is needed, and keeps from Connect what it cannot bear. */
export class Connection extends Http2SessionManager {
  readonly #guarded = new WeakSet<Http2Session>();
  readonly #limits: Limits;
  #inFlight = 0;
  #isClosed = false;
  #onUnused: (() => void) | undefined;

  /**
   * Remembers where to connect: to the host of the URL, or to one of its addresses. An attempt that takes longer than
   * `connectTimeout` fails.
   */
  constructor(url: string, tls: ConnectionOptions, limits: Limits, ip?: string) {
    super(url, PINGS, { maxSessionMemory: MAX_MEMORY_MB, createConnection: dialer(tls, limits, ip) });
    this.#limits = limits;
  }

  /**
   * Waits until there is a connection, and returns whether there is. An attempt that others had begun before does not
   * count: it may be over at once, having waited for long.
   */
  async reach(): Promise<boolean> {
    const isJoining = this.state() === 'connecting';
    const outcome = await this.connect();
    if (outcome === 'error' && isJoining && !this.#isClosed) {
      return (await this.connect()) !== 'error';
    }
    return outcome !== 'error';
  }

  override async request(...given: Parameters<Http2SessionManager['request']>): Promise<ClientHttp2Stream> {
    this.#inFlight += 1;
    const stream = await super.request(...given).catch((reason: unknown) => {
      this.#leave();
      throw reason;
    });
    stream.on('response', dropUnreadableDetails).on('trailers', dropUnreadableDetails);
    stream.once('close', () => {
      this.#leave();
    });
    this.#guard(stream.session);
    return stream;
  }

  override abort(reason?: Error): void {
    this.#isClosed = true;
    super.abort(reason);
  }

  /** Closes the connection once nothing is in flight on it, and says so. */
  retire(onUnused: () => void): void {
    this.#onUnused = onUnused;
    this.#closeIfUnused();
  }

  #leave(): void {
    this.#inFlight -= 1;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    if (this.#onUnused !== undefined && this.#inFlight === 0) {
      this.abort();
      this.#onUnused();
    }
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
    // The connection may be older than its first request, and have told its settings long ago.
    if (!session.pendingSettingsAck) {
      return;
    }
    const settled = new AbortController();
    const settle = () => {
      settled.abort();
    };
    session.once('remoteSettings', settle).once('localSettings', settle).once('close', settle);
    await this.#limits.clock.sleep(this.#limits.connectTimeout, settled.signal);
    if (!settled.signal.aborted) {
      session.destroy(new ConnectError('the other side does not speak HTTP/2', Code.Unavailable));
    }
  }
}

/**
 * Returns what opens sockets as Node would. Here, because a host may take a connection and never finish it: that attempt
 * ends for all who wait for it, and also when nobody does any more.
 */
function dialer(tls: ConnectionOptions, limits: Limits, ip?: string): (authority: URL) => Socket {
  return ({ protocol, hostname, port: given }) => {
    const isEncrypted = protocol === 'https:';
    const name = hostname.replace(/^\[|\]$/g, '');
    const host = ip ?? name;
    // A URL leaves out the port that is usual for its scheme.
    const port = Number(given) || (isEncrypted ? 443 : 80);
    // The certificate is of the name, whichever of its addresses this is.
    const server = isIP(name) === 0 ? { servername: name } : {};
    const socket = isEncrypted
      ? connectEncrypted({ ...server, ...tls, host, port, ALPNProtocols: ['h2'] })
      : connectPlain({ host, port });
    void limitAttempt(socket, isEncrypted ? 'secureConnect' : 'connect', limits);
    return socket;
  };
}

async function limitAttempt(socket: Socket, event: string, { clock, connectTimeout }: Limits): Promise<void> {
  const settled = new AbortController();
  const settle = () => {
    settled.abort();
  };
  socket.once(event, settle).once('close', settle);
  await clock.sleep(connectTimeout, settled.signal);
  if (!settled.signal.aborted) {
    socket.destroy(new ConnectError('it does not answer', Code.Unavailable));
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
