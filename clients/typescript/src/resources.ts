/** `client.sessions` and `client.apps`. */

import { appInfo, integer, required, sessionInfo, sessionStatus, text } from './convert.js';
import { SessionGatewayError } from './errors.js';
import type { Session } from './gen/sessiongateway/v1/sessions_pb.js';
import { CALL, checkOptions } from './options.js';
import type { Known } from './options.js';
import { Pages } from './pages.js';
import type { Runner } from './runner.js';
import type { Transport } from './transport.js';
import type { AppInfo, CallOptions, SessionInfo, SessionStatusFilter } from './types.js';
import { WatchStream } from './watch.js';
import type { WatchOptions } from './watch.js';

/** Which sessions are listed. */
export interface ListSessionsOptions extends CallOptions {
  /** Only those of which this holds. */
  status?: SessionStatusFilter | undefined;
  /** Only those of this app, "name" or "name@version". */
  app?: string | undefined;
  /** How many to fetch at a time, 1 to 1000. */
  pageSize?: number | undefined;
}

/** How apps are listed. */
export interface ListAppsOptions extends CallOptions {
  /** How many to fetch at a time, 1 to 1000. */
  pageSize?: number | undefined;
}

const LIST_SESSIONS: Known<ListSessionsOptions> = { ...CALL, status: true, app: true, pageSize: true };
const LIST_APPS: Known<ListAppsOptions> = { ...CALL, pageSize: true };

/**
 * Reads, watches, renews and ends sessions. Every method rejects with SessionGatewayError if the request fails, and with
 * TypeError, before anything is sent, if an argument is of the wrong type or an option is unknown.
 */
export class Sessions {
  readonly #transport: Transport;
  readonly #runner: Runner;
  readonly #watches: Set<WatchStream>;

  /** @internal Made by the client, which closes the watches when it is closed. */
  constructor(transport: Transport, runner: Runner, watches: Set<WatchStream>) {
    this.#transport = transport;
    this.#runner = runner;
    this.#watches = watches;
  }

  /**
   * Returns a session as it is now, also a finished one. Does not extend its life.
   *
   * @throws SessionNotFoundError if there is none with this id.
   */
  async get(sessionId: string, options: CallOptions = {}): Promise<SessionInfo> {
    checkOptions('sessions.get', options, CALL);
    const id = required('sessionId', sessionId);
    const { session } = await this.#transport.send(
      (to, how) => to.sessions.getSession({ sessionId: id }, how),
      this.#runner.deadline(options.timeoutMs),
      options.signal,
    );
    return present(session);
  }

  /**
   * Lets a session's timeout begin anew, and returns the session.
   *
   * @throws SessionNotFoundError if there is none with this id.
   * @throws SessionExpiredError if it was too late.
   * @throws SessionEndedError if it was ended.
   */
  async keepalive(sessionId: string, options: CallOptions = {}): Promise<SessionInfo> {
    checkOptions('sessions.keepalive', options, CALL);
    const id = required('sessionId', sessionId);
    const { session } = await this.#transport.send(
      (to, how) => to.sessions.keepalive({ sessionId: id }, how),
      this.#runner.deadline(options.timeoutMs),
      options.signal,
    );
    return present(session);
  }

  /**
   * Ends a session, releases its worker at once, and returns the session. One that is finished stays as it is.
   *
   * @throws SessionNotFoundError if there is none with this id.
   */
  async end(sessionId: string, options: CallOptions = {}): Promise<SessionInfo> {
    checkOptions('sessions.end', options, CALL);
    const id = required('sessionId', sessionId);
    const { session } = await this.#transport.send(
      (to, how) => to.sessions.endSession({ sessionId: id }, how),
      this.#runner.deadline(options.timeoutMs),
      options.signal,
    );
    return present(session);
  }

  /**
   * Returns the caller's sessions, the newest first: an array of all when it is awaited, page by page when it is
   * iterated over with `for await`. `timeoutMs` is for each page.
   *
   * @throws TypeError if there is no such status, or an option is unknown or of the wrong type.
   */
  list(options: ListSessionsOptions = {}): Pages<SessionInfo> {
    checkOptions('sessions.list', options, LIST_SESSIONS);
    const { timeoutMs, signal } = options;
    const app = text('app', options.app) ?? '';
    const pageSize = integer('pageSize', options.pageSize) ?? 0;
    const status = sessionStatus(options.status);
    return new Pages(async (pageToken) => {
      const page = await this.#transport.send(
        (to, how) => to.sessions.listSessions({ app, pageSize, pageToken, status }, how),
        this.#runner.deadline(timeoutMs),
        signal,
      );
      return { items: page.sessions.map(sessionInfo), next: page.nextPageToken };
    });
  }

  /** Returns an iterator over what happens to the caller's sessions from now on, or from where a token stands. */
  watch(options: WatchOptions = {}): WatchStream {
    return new WatchStream(this.#transport, this.#runner.pacing, options, this.#watches);
  }
}

/** Tells what is deployed. Every method rejects with SessionGatewayError if the request fails. */
export class Apps {
  readonly #transport: Transport;
  readonly #runner: Runner;

  /** @internal Made by the client. */
  constructor(transport: Transport, runner: Runner) {
    this.#transport = transport;
    this.#runner = runner;
  }

  /**
   * Describes one version of an app, "name" or "name@version", with its functions and their schemas.
   *
   * @throws AppNotFoundError if no app of this name is deployed.
   * @throws VersionNotFoundError if it is not deployed in this version.
   * @throws AppStartFailedError if its code cannot be imported.
   */
  async get(app: string, options: CallOptions = {}): Promise<AppInfo> {
    checkOptions('apps.get', options, CALL);
    const name = required('app', app);
    const response = await this.#transport.send(
      (to, how) => to.apps.getApp({ app: name }, how),
      this.#runner.deadline(options.timeoutMs),
      options.signal,
    );
    if (response.app === undefined) {
      throw incomplete('app');
    }
    return appInfo(response.app);
  }

  /** Returns the deployed apps by name, without their functions; see `Sessions.list` for how to read it. */
  list(options: ListAppsOptions = {}): Pages<AppInfo> {
    checkOptions('apps.list', options, LIST_APPS);
    const { timeoutMs, signal } = options;
    const pageSize = integer('pageSize', options.pageSize) ?? 0;
    return new Pages(async (pageToken) => {
      const page = await this.#transport.send(
        (to, how) => to.apps.listApps({ pageSize, pageToken }, how),
        this.#runner.deadline(timeoutMs),
        signal,
      );
      return { items: page.apps.map(appInfo), next: page.nextPageToken };
    });
  }
}

function present(session: Session | undefined): SessionInfo {
  if (session === undefined) {
    throw incomplete('session');
  }
  return sessionInfo(session);
}

function incomplete(what: string): SessionGatewayError {
  return new SessionGatewayError(`the answer has no ${what}`, { code: 'INVALID_RESPONSE' });
}
