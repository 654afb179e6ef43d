import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { Inference } from '../src/client.js';
import { CallInterruptedError, UnavailableError } from '../src/errors.js';
import { Gate } from './support/gate.js';
import { gatewayForTests } from './support/gateway.js';
import { failureOf, test } from './support/testing.js';

const gateway = gatewayForTests({ probe: 'tests/scenarios/probe' });

function clientFor(t: TestContext): Inference {
  const client = new Inference({ address: gateway.address });
  t.after(() => client.close());
  return client;
}

test('a gateway that is killed under a call: the state is unknown, and the same request id fetches the answer', async (t) => {
  const gate = await Gate.put(t, gateway.directory);
  const client = clientFor(t);
  const session = client.session('probe', { keepalive: true });
  await session.call('run');
  const input = { gate: gate.path, word: 'kept' };
  const failure = failureOf(session.call('hold', input, { requestId: 'r1' }));
  await gate.arrival();
  await gateway.end('SIGKILL');
  const error = await failure;
  assert.ok(error instanceof UnavailableError);
  assert.equal(error.runState, 'unknown');

  const refused = await failureOf(session.call('run'));
  assert.ok(refused instanceof UnavailableError);
  assert.equal(refused.runState, 'not_started');

  await gateway.start();
  const answer = session.call('hold', input, { requestId: 'r1' });
  await gate.open();
  assert.equal((await answer).output.word, 'kept');
  assert.equal(session.lost.aborted, false);
  assert.equal((await session.end())?.status, 'ended');
});

test('a stream whose gateway is killed rejects after what was read', async (t) => {
  const gate = await Gate.put(t, gateway.directory);
  const stream = clientFor(t).runStream({ app: 'probe', function: 'pause', input: { gate: gate.path } });
  assert.deepEqual((await stream.next()).value, { at: 'gate' });
  const failure = failureOf(stream.next());
  await gate.arrival();
  await gateway.end('SIGKILL');
  const error = await failure;
  assert.ok(error instanceof UnavailableError);
  assert.equal(error.runState, 'unknown');
  await gateway.start();
});

test('a gateway that is stopped: the call is told, a watch goes on without a gap, keepalive goes on', async (t) => {
  await gateway.end('SIGTERM');
  await gateway.start('keep');
  const gate = await Gate.put(t, gateway.directory);
  const client = clientFor(t);
  const watch = await client.sessions.watch().opened();
  const session = client.session('probe');
  await session.call('run');
  const id = session.id ?? '';
  const news = client.streamKeepalive([id]);
  await news.next();
  const failure = failureOf(session.call('hold', { gate: gate.path }));
  await gate.arrival();
  await gateway.end('SIGTERM');
  assert.ok((await failure) instanceof CallInterruptedError);
  await gateway.start();
  assert.equal((await news.next()).value?.session?.id, id);
  await gate.open();
  await session.end();
  const events = [await watch.next(), await watch.next()].map(({ value }) => [value?.event, value?.session?.id]);
  assert.deepEqual(events, [
    ['created', id],
    ['ended', id],
  ]);
});
