/** The operations of the conformance protocol, on the client. */

import { readFileSync } from 'node:fs';

import { Inference, parseJson, stringifyJson } from '../src/index.js';
import type {
  KeepaliveEvent,
  KeepaliveStream,
  RunParams,
  RunStream,
  Session,
  WatchEvent,
  WatchStream,
} from '../src/index.js';
import { rawRun } from './raw.js';
import { renderApp, renderError, renderResult, renderSession } from './render.js';

/** One command, as it was read. */
export interface Command {
  readonly id: number;
  readonly op: string;
  // Each operation knows its own fields; a runner that sends others has a fault that its comparison shows.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly [field: string]: any;
}

type Operation = (command: Command, signal: AbortSignal) => object | Promise<object>;

/** Something to wait for whose waiting may be given up without losing what comes. */
class Awaited<Value> {
  readonly #take: () => Promise<Value>;
  #pending: Promise<Value> | undefined;

  constructor(take: () => Promise<Value>) {
    this.#take = take;
  }

  /** Returns what comes within so many seconds, or undefined. */
  async next(seconds: number | undefined): Promise<Value | undefined> {
    this.#pending ??= this.#take();
    const pending = this.#pending;
    // Whoever asks next hears of a failure that nobody waits for now.
    pending.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      if (seconds !== undefined) {
        timer = setTimeout(resolve, seconds * 1000, undefined);
      }
    });
    try {
      const isDone = pending.then(
        () => true,
        () => true,
      );
      if (!(await Promise.race([isDone, late]))) {
        return undefined;
      }
    } finally {
      clearTimeout(timer);
    }
    this.#pending = undefined;
    return await pending;
  }
}

class Registry<Thing> {
  readonly #things = new Map<string, Thing>();

  set(name: string, thing: Thing): void {
    this.#things.set(name, thing);
  }

  get(name: string): Thing {
    const thing = this.#things.get(name);
    if (thing === undefined) {
      throw new TypeError(`there is nothing named '${name}'`);
    }
    return thing;
  }

  take(name: string): Thing {
    const thing = this.get(name);
    this.#things.delete(name);
    return thing;
  }

  takeAll(): Thing[] {
    const all = [...this.#things.values()];
    this.#things.clear();
    return all;
  }
}

interface Watch {
  readonly stream: WatchStream;
  readonly events: Awaited<IteratorResult<WatchEvent, undefined>>;
}

interface Keepalive {
  readonly stream: KeepaliveStream;
  readonly events: Awaited<IteratorResult<KeepaliveEvent, undefined>>;
}

const clients = new Registry<Inference>();
const streams = new Registry<RunStream<unknown, unknown>>();
const ended = new WeakSet<RunStream<unknown, unknown>>();
const watches = new Registry<Watch>();
const keepalives = new Registry<Keepalive>();
const handles = new Registry<Session>();

/** Every operation by its name. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  connect({ client, address, api_key: apiKey, timeout, tls }) {
    const read = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path));
    const pems = tls && { ca: read(tls.ca), cert: read(tls.cert), key: read(tls.key) };
    clients.set(client, new Inference({ address, apiKey, timeoutMs: millis(timeout), tls: pems }));
    return {};
  },

  async close({ client }) {
    await clients.take(client).close();
    return {};
  },

  async run({ client, params, input, timeout }, signal) {
    return renderResult(await clients.get(client).run(run(params, input), { timeoutMs: millis(timeout), signal }));
  },

  async get({ client, session_id: id, timeout }, signal) {
    return {
      session: renderSession(await clients.get(client).sessions.get(id, { timeoutMs: millis(timeout), signal })),
    };
  },

  async keepalive({ client, session_id: id, timeout }, signal) {
    const options = { timeoutMs: millis(timeout), signal };
    return { session: renderSession(await clients.get(client).sessions.keepalive(id, options)) };
  },

  async end({ client, session_id: id, timeout }, signal) {
    return {
      session: renderSession(await clients.get(client).sessions.end(id, { timeoutMs: millis(timeout), signal })),
    };
  },

  async list({ client, status, app, page_size: pageSize }, signal) {
    const found = await clients.get(client).sessions.list({ status, app, pageSize, signal });
    return { sessions: found.map(renderSession) };
  },

  async get_app({ client, app }, signal) {
    return { app: renderApp(await clients.get(client).apps.get(app, { signal })) };
  },

  async list_apps({ client, page_size: pageSize }, signal) {
    const found = await clients.get(client).apps.list({ pageSize, signal });
    return { apps: found.map(({ name, version }) => ({ name, version })) };
  },

  stream_open({ client, stream, params, input, timeout }) {
    streams.set(stream, clients.get(client).runStream(run(params, input), { timeoutMs: millis(timeout) }));
    return {};
  },

  async stream_next({ stream: name }, signal) {
    const stream = streams.get(name);
    // A step has no signal of its own: giving it up gives the stream up.
    signal.addEventListener('abort', () => void stream.close());
    const { done, value } = await stream.next();
    if (!done) {
      return { partial: stringifyJson(value) };
    }
    if (ended.has(stream)) {
      return { end: true };
    }
    const result = renderResult(stream.result);
    ended.add(stream);
    return { result };
  },

  async stream_close({ stream }) {
    await streams.take(stream).close();
    return {};
  },

  async watch_open({ client, watch, resume_token: resumeToken, app }) {
    const stream = clients.get(client).sessions.watch({ resumeToken, app });
    try {
      await stream.opened();
    } catch (error) {
      await stream.close();
      throw error;
    }
    watches.set(watch, { stream, events: new Awaited(() => stream.next()) });
    return {};
  },

  async watch_next({ watch, timeout }) {
    const step = await watches.get(watch).events.next(timeout);
    if (step === undefined) {
      return { timeout: true };
    }
    if (step.done) {
      return { end: true };
    }
    const { event, session, resumeToken } = step.value;
    return { event, session: renderSession(session), resume_token: resumeToken };
  },

  async watch_close({ watch }) {
    const { stream } = watches.take(watch);
    await stream.close();
    return { resume_token: stream.resumeToken };
  },

  keepalive_open({ client, stream: name, session_ids: ids }) {
    const stream = clients.get(client).streamKeepalive(ids);
    keepalives.set(name, { stream, events: new Awaited(() => stream.next()) });
    return {};
  },

  async keepalive_next({ stream, timeout }) {
    const step = await keepalives.get(stream).events.next(timeout);
    if (step === undefined) {
      return { timeout: true };
    }
    if (step.done) {
      return { end: true };
    }
    const { sessionId, session, error } = step.value;
    return { session_id: sessionId, ...(error ? { error: renderError(error) } : { session: renderSession(session) }) };
  },

  keepalive_close({ stream }) {
    keepalives.take(stream).stream.close();
    return {};
  },

  handle_open({ client, handle, app, session_timeout: sessionTimeout, keepalive }) {
    handles.set(handle, clients.get(client).session(app, { sessionTimeout, keepalive }));
    return {};
  },

  async handle_call({ handle, function: name, input, timeout, request_id: requestId }, signal) {
    const session = handles.get(handle);
    const options = { timeoutMs: millis(timeout), requestId, signal };
    const value = parseInput(input);
    return renderResult(await (name ? session.call(name, value, options) : session.call(value, options)));
  },

  async handle_lost({ handle, timeout }) {
    const { lost } = handles.get(handle);
    if (!lost.aborted) {
      await new Awaited(
        () =>
          new Promise((resolve) => {
            lost.addEventListener('abort', resolve);
          }),
      ).next(timeout);
    }
    return lost.aborted ? { error: renderError(lost.reason) } : { timeout: true };
  },

  async handle_close({ handle }) {
    return { session: renderSession(await handles.take(handle).end()) };
  },

  raw_run({ address, api_key: apiKey, request }) {
    return rawRun(address, apiKey, request);
  },
};

/** Closes all that is open. */
export async function closeAll(): Promise<void> {
  const open = [...streams.takeAll(), ...watches.takeAll().map(({ stream }) => stream)];
  await Promise.allSettled(open.map((stream) => stream.close()));
  await Promise.allSettled(clients.takeAll().map((client) => client.close()));
}

function run(params: RunParams, input: string | undefined): RunParams {
  return input === undefined ? params : { ...params, input: parseInput(input) };
}

function parseInput(input: string | undefined): object | undefined {
  // The client refuses what is no object.
  return input === undefined ? undefined : (parseJson(input) as object);
}

function millis(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}
