/** A real gateway, started for the tests of one file. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before } from 'node:test';

const TREE = resolve('../..');
const COMMAND = process.env.SGW_COMMAND ?? join(TREE, '.venv/bin/sgw');
const START_LIMIT = 30_000;
/** Longer than the gateway takes for its drain and its workers. */
const END_LIMIT = 20_000;

/** The gateway takes its settings from these, and refuses those that it does not know, such as ours. */
function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('SGW_')));
}

/** The apps of the examples, and one that does what tests ask for. */
const APPS: Readonly<Record<string, string>> = {
  kv: 'examples/kv',
  sql: 'examples/sql',
  probe: 'tests/scenarios/probe',
};

/** One gateway process and its records, which outlive it until `remove`. */
export class Gateway {
  readonly #directory = mkdtempSync(join(tmpdir(), 'sgw-'));
  readonly #apps: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;
  #address = '127.0.0.1:0';

  constructor(apps: Readonly<Record<string, string>> = APPS) {
    this.#apps = apps;
  }

  /** HOST:PORT, the same after each start. */
  get address(): string {
    return this.#address;
  }

  /** A directory for the files of tests. */
  get directory(): string {
    return this.#directory;
  }

  /** Starts it and waits until it listens. `drain` says what becomes of sessions when it is stopped by SIGTERM. */
  async start(drain: 'end' | 'keep' = 'end'): Promise<void> {
    const apps = Object.entries(this.#apps).flatMap(([name, path]) => ['--app', `${name}=${join(TREE, path)}`]);
    const place = ['--listen', this.#address, '--data-dir', join(this.#directory, 'data')];
    const options = ['--drain', drain, '--drain-grace', '0', '--log-level', 'error'];
    const started = spawn(COMMAND, ['serve', ...place, ...options, ...apps], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: withoutSettings(process.env),
    });
    this.#process = started;
    const limit = setTimeout(() => started.kill('SIGKILL'), START_LIMIT);
    for await (const line of createInterface({ input: started.stdout })) {
      const found = /^listening on (\S+)$/.exec(line);
      if (found?.[1]) {
        this.#address = found[1];
        clearTimeout(limit);
        started.stdout.resume();
        return;
      }
    }
    clearTimeout(limit);
    throw new Error(`${COMMAND} did not start`);
  }

  /** Ends it with a signal and waits for that; kills it if it takes too long, and fails. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const ended = this.#process;
    this.#process = undefined;
    if (ended?.exitCode === null && ended.signalCode === null) {
      const exit = once(ended, 'exit');
      ended.kill(signal);
      const limit = setTimeout(() => ended.kill('SIGKILL'), END_LIMIT);
      const [, endedBy] = (await exit) as [number | null, NodeJS.Signals | null];
      clearTimeout(limit);
      assert.ok(signal === 'SIGKILL' || endedBy !== 'SIGKILL', `${COMMAND} did not end`);
    }
  }

  /** Ends it with its sessions, and deletes its records. */
  async remove(): Promise<void> {
    await this.end('SIGTERM');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Keeps a gateway for the tests of this file, and names it in the environment. Its sessions end with it. */
export function gatewayForTests(apps?: Readonly<Record<string, string>>): Gateway {
  const gateway = new Gateway(apps);
  before(async () => {
    await gateway.start();
    process.env.SGW_ADDRESS = gateway.address;
  });
  after(() => gateway.remove());
  return gateway;
}
