import assert from 'node:assert/strict';

import { Inference } from '../src/client.js';
import type { SessionGatewayError } from '../src/errors.js';
import { echo, ScriptedGateway } from './support/scripted.js';
import { failureOf, test } from './support/testing.js';

test('an output that is not JSON says that the run is over', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    run: () => ({ result: { case: 'outputJson', value: new Uint8Array([0x22, 0xff, 0x22]) } }),
  });
  const failure = (await failureOf(gateway.client(t).run({ app: 'kv' }))) as SessionGatewayError;
  assert.deepEqual([failure.code, failure.runState], ['INVALID_RESPONSE', 'completed']);
});

test('an answer in the other form is read too', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    run: () => ({ result: { case: 'output', value: { a: [1, 'é'] } } }),
  });
  assert.deepEqual((await gateway.client(t).run({ app: 'kv' })).output, { a: [1, 'é'] });
});

test('answers of many mebibytes are received, up to 64', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    run: (request) => {
      const text = JSON.stringify({ text: 'é'.repeat(Number(request.function) / 2) });
      return { result: { case: 'outputJson', value: new TextEncoder().encode(text) } };
    },
  });
  const client = gateway.client(t);
  const { output } = await client.run<{ text: string }>({ app: 'kv', function: String(30 * 2 ** 20) });
  assert.equal(output.text.length, 15 * 2 ** 20);
  const failure = (await failureOf(client.run({ app: 'kv', function: String(65 * 2 ** 20) }))) as SessionGatewayError;
  assert.equal(failure.code, 'RESOURCE_EXHAUSTED');
  assert.equal((await client.run<{ text: string }>({ app: 'kv', function: '2' })).output.text, 'é');
});

test('the API key is sent as a bearer token, and a key that cannot be sent is not shown', async (t) => {
  const keys: (string | null)[] = [];
  const gateway = await ScriptedGateway.start(t, {
    run: (request, { requestHeader }) => {
      keys.push(requestHeader.get('authorization'));
      return echo(request);
    },
  });
  await gateway.client(t, { apiKey: 'secret' }).run({ app: 'kv' });
  await gateway.client(t, { apiKey: '' }).run({ app: 'kv' });
  assert.deepEqual(keys, ['Bearer secret', null]);
  const failure = await failureOf(Promise.resolve().then(() => new Inference({ apiKey: 'secret\n' })));
  assert.ok(failure instanceof TypeError);
  assert.doesNotMatch(failure.message, /secret/);
});

test('an address is HOST:PORT', () => {
  for (const address of ['', 'localhost', 'http://localhost:1', 'localhost:port', ':1', 'a/b:1', '::1:5']) {
    assert.throws(() => new Inference({ address }), TypeError, address);
  }
  new Inference({ address: '[::1]:50151' });
  new Inference({ address: 'gateway.example:443', tls: {} });
});

test('a URL is no address, and the message says so', () => {
  for (const address of ['http://127.0.0.1:50151', 'https://gateway.example', 'HTTP://a:1/', 'grpc://a:1']) {
    assert.throws(() => new Inference({ address }), /^TypeError: the address of a gateway is HOST:PORT, not a URL/);
  }
});

test('many runs share one connection', async (t) => {
  const gateway = await ScriptedGateway.start(t, { run: echo });
  const client = gateway.client(t);
  const results = await Promise.all(Array.from({ length: 200 }, (_, n) => client.run({ app: 'kv', input: { n } })));
  assert.deepEqual(
    results.map(({ output }) => output.n),
    results.map((_, n) => n),
  );
});
