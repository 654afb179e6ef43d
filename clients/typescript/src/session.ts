/** A session as a thing to hold: it opens with its first call and ends when its scope is left. */

import { required, runRequest } from './convert.js';
import { SessionNotFoundError } from './errors.js';
import type { SessionGatewayError } from './errors.js';
import type { RunRequest } from './gen/sessiongateway/v1/sessions_pb.js';
import type { JsonObject } from './json.js';
import { Opening } from './opening.js';
import { CALL, checkOptions } from './options.js';
import type { Known } from './options.js';
import type { Deadline } from './pacing.js';
import type { Renewer } from './renewer.js';
import type { Sessions } from './resources.js';
import { RunStream } from './run-stream.js';
import type { Part, Runner } from './runner.js';
import type { CallOptions, KeepaliveEvent, RunResult, SessionInfo } from './types.js';

/** How a session is kept. */
export interface SessionOptions {
  /** The idle timeout in whole seconds, 1 to 3600; left out: 60. */
  sessionTimeout?: number | undefined;
  /** Renew the session for as long as the handle lives. */
  keepalive?: boolean | undefined;
  /** Milliseconds for each of its requests, where a call does not say itself. */
  timeoutMs?: number | undefined;
}

/** How a call of a session is made. */
export interface SessionCallOptions extends CallOptions {
  /** Idempotency key. */
  requestId?: string | undefined;
  /** How many calls the session must have had when this one's turn comes. Not for the call that opens it. */
  expectedCallCount?: number | undefined;
}

/** @internal What a handle works with. */
export interface SessionTools {
  readonly runner: Runner;
  readonly sessions: Sessions;
  readonly renewer: Renewer;
}

const OPTIONS: Known<SessionOptions> = { sessionTimeout: true, keepalive: true, timeoutMs: true };
const CALL_OPTIONS: Known<SessionCallOptions> = { ...CALL, requestId: true, expectedCallCount: true };

type CallArguments = [
  functionOrInput?: string | object,
  inputOrOptions?: object | SessionCallOptions,
  options?: SessionCallOptions,
];

/**
 * One session, made by `client.session(app)`.
 *
 * The first call opens it; calls that come meanwhile wait for that. If the first call fails there is no session, and the
 * next call is the first again. A stream is a call too, and opens the session with its result; calls that come before
 * that are refused, since the reader of the stream would wait for itself. From then on every call goes to the session's
 * own app and version, also when a newer one has been deployed. A session that has finished is never replaced: its
 * calls reject.
 */
export class Session {
  readonly #app: string;
  readonly #options: SessionOptions;
  readonly #tools: SessionTools;
  readonly #opening: Opening;
  readonly #lost = new AbortController();
  readonly #openingStreams = new Set<RunStream<unknown, unknown>>();
  #stopRenewing: () => void = () => undefined;
  #id: string | undefined;
  #info: SessionInfo | undefined;
  #isClosed = false;
  #isEnded = false;

  /** @internal Made by the client. */
  constructor(app: string, options: SessionOptions, tools: SessionTools) {
    this.#app = required('app', app);
    if (this.#app === '') {
      throw new TypeError("a session needs an app, 'name' or 'name@version'");
    }
    checkOptions('client.session', options, OPTIONS);
    this.#options = options;
    this.#tools = tools;
    this.#opening = new Opening(tools.runner.pacing.clock, () => this.#id !== undefined);
  }

  /** The session's id; undefined before the first call has succeeded. */
  get id(): string | undefined {
    return this.#id;
  }

  /** The session as it was in the newest answer; undefined before the first. */
  get info(): SessionInfo | undefined {
    return this.#info;
  }

  /** Aborted, with the error as its reason, when automatic keepalive finds that the session is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /**
   * Calls the app's default function with an input, or a named function with an input.
   *
   * @throws TypeError if an option is unknown, the input cannot be JSON, the handle is closed, or a stream is opening the session.
   * @throws SessionGatewayError if the call failed; or, with keepalive, the session is known to be lost.
   */
  call<Output = JsonObject>(input?: object, options?: SessionCallOptions): Promise<RunResult<Output>>;
  call<Output = JsonObject>(name: string, input?: object, options?: SessionCallOptions): Promise<RunResult<Output>>;
  async call<Output>(...given: CallArguments): Promise<RunResult<Output>> {
    const { request, options } = this.#request('session.call', given);
    const deadline = this.#deadline(options);
    const run = () => this.#tools.runner.run<Output>(request, deadline, options.signal);
    const release = await this.#opening.turn({ deadline, signal: options.signal, isForReader: false });
    if (release !== undefined) {
      try {
        this.#refuseFinished();
        const result = await run();
        await this.#opened(result);
        return result;
      } finally {
        release();
      }
    }
    this.#continue(request);
    const result = await run();
    this.#info = result.session ?? this.#info;
    return result;
  }

  /**
   * Calls a function as `call` does, and returns an iterator over its partial outputs with the result at its end.
   * Nothing is sent before the first step of the iteration, which rejects with what `call` rejects with.
   *
   * @throws TypeError if an option is unknown, or the input cannot be JSON.
   */
  stream<Yielded = JsonObject, Output = JsonObject>(
    input?: object,
    options?: SessionCallOptions,
  ): RunStream<Yielded, Output>;
  stream<Yielded = JsonObject, Output = JsonObject>(
    name: string,
    input?: object,
    options?: SessionCallOptions,
  ): RunStream<Yielded, Output>;
  stream<Yielded, Output>(...given: CallArguments): RunStream<Yielded, Output> {
    const { request, options } = this.#request('session.stream', given);
    return new RunStream<Yielded, Output>(
      (stop, stream) => this.#parts<Output>(request, options, stop, stream),
      options.signal,
    );
  }

  /**
   * Ends the session, if it was opened, and closes the handle. May be called twice.
   *
   * @throws SessionGatewayError if the session could not be ended; it will expire by itself.
   */
  async end(options: CallOptions = {}): Promise<SessionInfo | undefined> {
    checkOptions('session.end', options, CALL);
    this.#isClosed = true;
    // A session whose id is not known yet ends only with the call that opens it.
    await Promise.all([...this.#openingStreams].map((stream) => stream.close()));
    if (this.#id === undefined || this.#isEnded) {
      return this.#info;
    }
    this.#stopRenewing();
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? this.#tools.runner.pacing.endTimeout;
    try {
      this.#info = await this.#tools.sessions.end(this.#id, { ...options, timeoutMs });
    } catch (error) {
      // Without a record it was over long ago.
      if (!(error instanceof SessionNotFoundError)) {
        throw error;
      }
    }
    this.#isEnded = true;
    return this.#info;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  async *#parts<Output>(
    request: RunRequest,
    options: SessionCallOptions,
    signal: AbortSignal,
    self: RunStream<unknown, unknown>,
  ): AsyncGenerator<Part<Output>, void> {
    const deadline = this.#deadline(options);
    const { runner } = this.#tools;
    const release = await this.#opening.turn({ deadline, signal, isForReader: true });
    if (release !== undefined) {
      try {
        this.#refuseFinished();
        this.#openingStreams.add(self);
        for await (const part of runner.stream<Output>(request, () => deadline, signal)) {
          if (part.kind === 'result') {
            // Its step is not over: whoever ends the session from here on must not wait for it.
            this.#openingStreams.delete(self);
            await this.#opened(part.value);
          }
          yield part;
        }
        return;
      } finally {
        this.#openingStreams.delete(self);
        release();
      }
    }
    this.#continue(request);
    for await (const part of runner.stream<Output>(request, () => deadline, signal)) {
      if (part.kind === 'result') {
        this.#info = part.value.session ?? this.#info;
      }
      yield part;
    }
  }

  #deadline(options: CallOptions): Deadline {
    return this.#tools.runner.deadline(options.timeoutMs ?? this.#options.timeoutMs);
  }

  /** Returns the request that opens the session. */
  #request(what: string, given: CallArguments): { request: RunRequest; options: SessionCallOptions } {
    const [name, input, options = {}] = (typeof given[0] === 'string' ? given : [undefined, ...given]) as [
      string | undefined,
      object | undefined,
      SessionCallOptions?,
    ];
    checkOptions(what, options, CALL_OPTIONS);
    const request = runRequest({
      app: this.#app,
      function: name,
      input,
      session: 'new',
      session_timeout: this.#options.sessionTimeout,
      request_id: options.requestId,
      expected_call_count: options.expectedCallCount,
    });
    return { request, options };
  }

  /** Makes a request one in the session that is open. */
  #continue(request: RunRequest): void {
    this.#refuseFinished();
    delete request.sessionTimeout;
    request.app = this.#info ? `${this.#info.app}@${this.#info.version}` : this.#app;
    request.session = this.#id ?? '';
  }

  async #opened(result: RunResult<unknown>): Promise<void> {
    this.#id = result.session_id;
    this.#info = result.session;
    if (this.#isClosed) {
      // The scope was left while this call ran, and could not end what it did not know. The call has its result all the
      // same; a session that cannot be ended expires.
      await this.end().catch(() => undefined);
    } else if (this.#options.keepalive) {
      this.#stopRenewing = this.#tools.renewer.add(this.#id, (event) => {
        this.#hear(event);
      });
    }
  }

  #refuseFinished(): void {
    if (this.#isClosed) {
      throw new TypeError('the session handle is closed');
    }
    if (this.#lost.signal.aborted) {
      throw notStarted(this.#lost.signal.reason as SessionGatewayError);
    }
  }

  #hear(event: KeepaliveEvent): void {
    if (event.error === undefined) {
      this.#info = event.session;
    } else {
      this.#lost.abort(event.error);
    }
  }
}

/** The same loss, as the error of a call that was not sent because of it. */
function notStarted(error: SessionGatewayError): SessionGatewayError {
  const sameClass = error.constructor as typeof SessionGatewayError;
  const cause = 'cause' in error ? { cause: error.cause } : {};
  return new sameClass(error.message, Object.assign({}, error, cause, { runState: 'not_started' as const }));
}
