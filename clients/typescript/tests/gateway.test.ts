import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { Inference } from '../src/client.js';
import { AppError, CancelledError, InvalidInputError, SessionEndedError, WorkerLostError } from '../src/errors.js';
import type { SessionGatewayError } from '../src/errors.js';
import { Gate } from './support/gate.js';
import { gatewayForTests } from './support/gateway.js';
import { failureOf, test } from './support/testing.js';

const gateway = gatewayForTests();

function clientFor(t: TestContext): Inference {
  const client = new Inference({ address: gateway.address });
  t.after(() => client.close());
  return client;
}

test('values come back as they were sent, integers of any size and all of Unicode', async (t) => {
  const client = clientFor(t);
  const value = {
    big: 2n ** 200n,
    negative: -(2n ** 64n),
    safe: 2 ** 53 - 1,
    fraction: 0.1,
    text: 'é 漢字 😀 \u0000 "\\ \u2028',
    deep: [[{ '': [null, true, {}] }]],
    __proto__x: 1,
  };
  const { output } = await client.run<{ state: unknown }>({ app: 'kv', input: value });
  assert.deepEqual(output.state, value);
});

test('a session keeps its state until it is ended', async (t) => {
  const client = clientFor(t);
  await using session = client.session('kv', { sessionTimeout: 300 });
  await session.call('set_value', { key: 'a', value: 1 });
  assert.deepEqual((await session.call('get_value', { key: 'a' })).output, { value: 1, found: true });
  assert.equal(session.info?.sessionTimeout, 300);
  const id = session.id ?? '';
  assert.ok((await client.sessions.list({ status: 'active' })).some((info) => info.id === id));
  const info = await session.end();
  assert.deepEqual([info?.status, info?.endReason, info?.callCount], ['ended', 'caller', 2]);
  const failure = await failureOf(client.run({ app: 'kv', session: id }));
  assert.ok(failure instanceof SessionEndedError);
  assert.deepEqual([failure.runState, failure.endReason, failure.httpStatus], ['not_started', 'caller', 410]);
});

test('errors of the app and of its input say what happened', async (t) => {
  const client = clientFor(t);
  const raised = await failureOf(client.run({ app: 'probe', function: 'fail', input: { text: 'häh' } }));
  assert.ok(raised instanceof AppError);
  assert.deepEqual(
    [raised.appFailure?.type, raised.appFailure?.message, raised.runState],
    ['ValueError', 'häh', 'completed'],
  );
  const refused = await failureOf(client.run({ app: 'probe', function: 'typed', input: { number: 'x', words: [1] } }));
  assert.ok(refused instanceof InvalidInputError);
  assert.deepEqual(refused.fieldViolations.map(({ field }) => field).sort(), ['input.number', 'input.words.0']);
});

test('a worker that dies takes its session with it, and the error says how', async (t) => {
  const client = clientFor(t);
  await using session = client.session('probe', { keepalive: true });
  await session.call('run');
  const failure = await failureOf(session.call('die', { signal: 9 }));
  assert.ok(failure instanceof WorkerLostError);
  assert.deepEqual([failure.workerExit, failure.runState], [{ signal: 9 }, 'unknown']);
  if (!session.lost.aborted) {
    await new Promise((resolve) => {
      session.lost.addEventListener('abort', resolve);
    });
  }
  const lost = session.lost.reason as SessionGatewayError;
  assert.deepEqual([lost.code, lost.endReason], ['SESSION_ENDED', 'worker_lost']);
});

test('aborting a call cancels its function, and the session lives on', async (t) => {
  const gate = await Gate.put(t, gateway.directory);
  await using session = clientFor(t).session('probe');
  await session.call('run');
  const controller = new AbortController();
  const failure = failureOf(session.call('hold', { gate: gate.path, word: 'mine' }, { signal: controller.signal }));
  await gate.arrival();
  controller.abort();
  assert.ok((await failure) instanceof CancelledError);
  await gate.departure();
  await session.call('run');
});

test('keepalive keeps a session alive beyond its timeout', async (t) => {
  const client = clientFor(t);
  await using session = client.session('kv', { sessionTimeout: 1, keepalive: true });
  await session.call();
  await using news = client.streamKeepalive([session.id ?? '']);
  const start = session.info?.expiresAt?.getTime() ?? 0;
  for await (const { session: renewed } of news) {
    if ((renewed?.expiresAt?.getTime() ?? 0) > start + 1500) {
      break;
    }
  }
  assert.equal((await client.sessions.get(session.id ?? '')).status, 'active');
});

test('rows are streamed from a session, with the result at the end', async (t) => {
  await using session = clientFor(t).session('sql');
  await session.call('load', { name: 'cities', path: 'cities.csv' });
  const stream = session.stream<{ rows: unknown[] }, { row_count: number }>('rows', {
    sql: 'SELECT * FROM cities',
    batch_rows: 5,
  });
  let rows = 0;
  for await (const batch of stream) {
    assert.ok(batch.rows.length <= 5);
    rows += batch.rows.length;
  }
  assert.ok(rows > 5);
  assert.equal(stream.result.output.row_count, rows);
});

test('a slow reader slows the function, and one that leaves ends it', async (t) => {
  const file = join(gateway.directory, 'flood');
  await using session = clientFor(t).session('probe');
  await session.call('run');
  const input = { outputs: 1000, bytes: 100_000, file };
  const produced = () => (existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0);
  for await (const output of session.stream<{ number: number }>('flood', input)) {
    // What fits between the two is read ahead: at most 256 KiB at the gateway, and the connection's own windows.
    assert.ok(produced() <= output.number + 20, `${produced()} were produced when ${output.number} was read`);
    if (output.number === 200) {
      break;
    }
  }
  const { output } = await session.call<{ memory: string }>('recall');
  assert.equal(output.memory, 'the flood is over');
  assert.ok(produced() < 300);
});

test('a program that is done with its client ends by itself', async (t) => {
  const { spawn } = await import('node:child_process');
  const program = `
    const { Inference } = require('./dist/package/index.js');
    new Inference({ address: '${gateway.address}' }).run({ app: 'kv' }).then(() => console.log('done'));
  `;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'inherit', 'inherit'] });
  t.after(() => child.kill());
  const code = await new Promise((resolve) => child.on('exit', resolve));
  assert.equal(code, 0);
});
