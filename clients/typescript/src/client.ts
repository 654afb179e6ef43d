/** The client. */

import { runRequest } from './convert.js';
import type { RunRequest } from './gen/sessiongateway/v1/sessions_pb.js';
import type { JsonObject } from './json.js';
import { KeepaliveStream } from './keepalive-stream.js';
import { CALL, checkOptions } from './options.js';
import type { Known } from './options.js';
import { DEFAULT_PACING } from './pacing.js';
import type { Pacing } from './pacing.js';
import { Renewer } from './renewer.js';
import { Apps, Sessions } from './resources.js';
import { RunStream } from './run-stream.js';
import { Runner } from './runner.js';
import { Session } from './session.js';
import type { SessionOptions } from './session.js';
import { Transport } from './transport.js';
import type { RunOptions, RunParams, RunResult, TlsOptions } from './types.js';
import type { WatchStream } from './watch.js';

const DEFAULT_ADDRESS = '127.0.0.1:50151';

/** How a client reaches its gateway. */
export interface InferenceOptions {
  /** Sent with every request. Left out: the environment's SGW_API_KEY, if there is one. */
  apiKey?: string | undefined;
  /**
   * HOST:PORT of the gateway; dns:///HOST:PORT or ipv4:ADDRESS:PORT,ADDRESS:PORT, among which calls go round. Left out:
   * the environment's SGW_ADDRESS, else 127.0.0.1:50151.
   */
  address?: string | undefined;
  /** Milliseconds that a request may take with all its attempts, where it does not say itself. Left out: no limit. */
  timeoutMs?: number | undefined;
  /** An encrypted connection; `{}` trusts what Node trusts. Left out: plain text. */
  tls?: TlsOptions | undefined;
  /** @internal Waits between attempts. */
  pacing?: Partial<Pacing> | undefined;
}

const OPTIONS: Known<InferenceOptions> = { apiKey: true, address: true, timeoutMs: true, tls: true, pacing: false };
const TLS: Known<TlsOptions> = { ca: true, cert: true, key: true };
const FIELDS: Known<RunParams> = {
  app: true,
  function: true,
  input: true,
  session: true,
  session_timeout: true,
  worker_id: true,
  request_id: true,
  expected_call_count: true,
};

/**
 * A client of Session Gateway.
 *
 * It opens one connection, with its first request, and another one only when that is gone or says nothing. `close()`, or
 * `await using`, ends what is in flight; an idle client does not keep a program from ending.
 */
export class Inference {
  /** Reads, watches, renews and ends sessions. */
  readonly sessions: Sessions;
  /** Tells what is deployed. */
  readonly apps: Apps;
  readonly #transport: Transport;
  readonly #runner: Runner;
  readonly #renewer: Renewer;
  readonly #watches = new Set<WatchStream>();
  readonly #renewals = new Set<KeepaliveStream>();

  /**
   * Remembers the options; nothing is sent yet.
   *
   * @throws TypeError if an option is unknown, the address is not HOST:PORT, or the API key cannot be sent.
   */
  constructor(options: InferenceOptions = {}) {
    checkOptions('new Inference', options, OPTIONS);
    if (options.tls !== undefined) {
      checkOptions("the option 'tls'", options.tls, TLS);
    }
    const { SGW_ADDRESS, SGW_API_KEY } = process.env;
    const pacing = { ...DEFAULT_PACING, ...options.pacing };
    const address = options.address ?? (SGW_ADDRESS || DEFAULT_ADDRESS);
    this.#transport = new Transport(address, options.apiKey ?? SGW_API_KEY, options.tls, pacing);
    this.#runner = new Runner(this.#transport, pacing, options.timeoutMs);
    this.#renewer = new Renewer(this.#transport, pacing);
    this.sessions = new Sessions(this.#transport, this.#runner, this.#watches);
    this.apps = new Apps(this.#transport, this.#runner);
  }

  /**
   * Calls a function of an app, and returns its answer.
   *
   * A run is sent again only when the gateway answers that it took nothing, because it is shutting down or cannot use
   * its records. It is never sent again because a connection broke: see `SessionGatewayError.runState`.
   *
   * @param params What is to be run.
   * @param options How; and fields of the run that win over those of `params`.
   * @throws TypeError if a field is unknown or wrong, or the input cannot be JSON. Nothing was sent.
   * @throws SessionGatewayError if the run failed; its class says how, its `runState` whether it was applied.
   */
  async run<Output = JsonObject>(params: RunParams, options: RunOptions = {}): Promise<RunResult<Output>> {
    const request = merged('run', params, options);
    const { timeoutMs, signal } = options;
    return await this.#runner.run(request, this.#runner.deadline(timeoutMs), signal);
  }

  /**
   * Calls a function of an app, and returns an iterator over its partial outputs, which has the result at its end.
   *
   * Takes what `run` takes. Nothing is sent, and no time counts, before the first step of the iteration, which rejects
   * with what `run` rejects with. The run is sent again under the same rule, before the first part only.
   *
   * @throws TypeError if a field is unknown or wrong, or the input cannot be JSON.
   */
  runStream<Yielded = JsonObject, Output = JsonObject>(
    params: RunParams,
    options: RunOptions = {},
  ): RunStream<Yielded, Output> {
    const request = merged('runStream', params, options);
    const { timeoutMs, signal } = options;
    const startDeadline = () => this.#runner.deadline(timeoutMs);
    return new RunStream((stop) => this.#runner.stream<Output>(request, startDeadline, stop), signal);
  }

  /**
   * Returns a handle of a new session, which opens with its first call and ends when its `await using` is left.
   *
   * @throws TypeError if there is no app, or an option is unknown.
   */
  session(app: string, options: SessionOptions = {}): Session {
    return new Session(app, options, { runner: this.#runner, sessions: this.sessions, renewer: this.#renewer });
  }

  /**
   * Renews sessions, each at a third of its timeout, until the returned iterator is closed. All renewals of a client
   * share one stream to the gateway.
   *
   * @throws TypeError if an id is not a string, or empty.
   */
  streamKeepalive(sessionIds: Iterable<string>): KeepaliveStream {
    return new KeepaliveStream(this.#renewer, sessionIds, this.#renewals);
  }

  /** Stops every renewal and watch, cancels what is in flight and closes the connection. May be called twice. */
  async close(): Promise<void> {
    for (const stream of [...this.#renewals]) {
      stream.close();
    }
    await Promise.all([...this.#watches].map((watch) => watch.close()));
    await this.#renewer.close();
    this.#transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Fields that are there but undefined are none, so they do not win over others. */
function merged(what: string, params: RunParams, options: RunOptions): RunRequest {
  const fieldNames = Object.keys(FIELDS).join(', ');
  checkOptions(
    what,
    params,
    FIELDS,
    (names) => `its fields are ${names}; timeoutMs and signal go into a second argument`,
  );
  checkOptions(`the second argument of ${what}`, options, { ...CALL, ...FIELDS }, () => {
    return `its options are ${Object.keys(CALL).join(', ')}, and the fields of the run: ${fieldNames}`;
  });
  const { timeoutMs: _, signal: __, ...fields } = options;
  return runRequest({
    ...params,
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  });
}
