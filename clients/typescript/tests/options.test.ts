/** What plain JavaScript may get wrong, since no types keep it from that. */

import assert from 'node:assert/strict';

import { Inference } from '../src/client.js';
import { failureOf, test } from './support/testing.js';

const client = new Inference({ address: '127.0.0.1:1' });
const session = client.session('kv');
/** As plain JavaScript sees it. */
const wrong = (value: unknown) => value as never;

async function messageOf(call: () => unknown): Promise<string> {
  const failure = await failureOf(Promise.resolve().then(call));
  assert.ok(failure instanceof TypeError, String(failure));
  return failure.message;
}

test('the options of a client are an object with names that are known', async () => {
  assert.equal(
    await messageOf(() => new Inference(wrong({ adress: '127.0.0.1:50999' }))),
    "new Inference does not know 'adress' (did you mean 'address'?); its options are apiKey, address, timeoutMs, tls",
  );
  assert.match(
    await messageOf(() => new Inference(wrong({ api_key: 'secret' }))),
    /'api_key' \(did you mean 'apiKey'\?/,
  );
  const wrongKinds: [unknown, string][] = [
    ['127.0.0.1:50999', 'string'],
    [null, 'null'],
    [['127.0.0.1:50999'], 'array'],
    [Promise.resolve({}), 'promise'],
  ];
  for (const [given, kind] of wrongKinds) {
    const message = await messageOf(() => new Inference(wrong(given)));
    assert.ok(message.startsWith(`new Inference takes an object here, not ${kind}; its options are apiKey`), message);
    assert.doesNotMatch(message, /50999/);
  }
});

test('so are those of its encryption', async () => {
  for (const tls of [true, false, null, { certificate: '' }]) {
    assert.match(await messageOf(() => new Inference({ tls: wrong(tls) })), /'tls' .*; its options are ca, cert, key$/);
  }
});

test('a session needs an app, and options that are known', async () => {
  for (const app of [undefined, null, 1, {}]) {
    assert.match(await messageOf(() => client.session(app as string)), /'app' must be a string/);
  }
  assert.match(await messageOf(() => client.session('')), /needs an app/);
  assert.equal(
    await messageOf(() => client.session('kv', wrong({ session_timeout: 30 }))),
    "client.session does not know 'session_timeout' (did you mean 'sessionTimeout'?); " +
      'its options are sessionTimeout, keepalive, timeoutMs',
  );
});

test('the second argument of a run has options, and fields of the run', async () => {
  const fields = 'app, function, input, session, session_timeout, worker_id, request_id, expected_call_count';
  const calls: [string, (...given: Parameters<Inference['run']>) => unknown][] = [
    ['run', (...given) => client.run(...given)],
    ['runStream', (...given) => client.runStream(...given)],
  ];
  for (const [name, call] of calls) {
    assert.equal(
      await messageOf(() => call({ app: 'kv' }, wrong({ timeout: 5, wrong: undefined }))),
      `the second argument of ${name} does not know 'timeout' (did you mean 'timeoutMs'?), 'wrong'; ` +
        `its options are timeoutMs, signal, and the fields of the run: ${fields}`,
    );
    assert.equal(
      await messageOf(() => call({ app: 'kv', timeoutMs: 5, sessionTimeout: 5 } as { app: string })),
      `${name} does not know 'timeoutMs', 'sessionTimeout' (did you mean 'session_timeout'?); ` +
        `its fields are ${fields}; timeoutMs and signal go into a second argument`,
    );
    assert.match(await messageOf(() => call({ app: 'kv' }, wrong(AbortSignal.abort()))), /not abortsignal; /);
    assert.match(await messageOf(() => call(wrong('kv'))), /not string; /);
  }
});

test('every other request refuses what it does not know', async () => {
  const { sessions, apps } = client;
  const options = wrong({ timeoutMS: 1 });
  const requests: (() => unknown)[] = [
    () => sessions.get('sess_1', options),
    () => sessions.keepalive('sess_1', options),
    () => sessions.end('sess_1', options),
    () => sessions.list(options),
    () => apps.get('kv', options),
    () => apps.list(options),
    () => session.call({}, options),
    () => session.call('f', {}, options),
    () => session.stream('f', {}, options),
    () => session.end(options),
  ];
  for (const request of requests) {
    const expected =
      /^\w+\.\w+ does not know 'timeoutMS' \(did you mean 'timeoutMs'\?\); its options are timeoutMs, signal/;
    assert.match(await messageOf(request), expected, String(request));
  }
  assert.match(await messageOf(() => sessions.list(wrong({ state: 'active' }))), /'state' \(did you mean 'status'\?\)/);
  assert.match(
    await messageOf(() => sessions.watch(wrong({ token: '' }))),
    /'token'; its options are resumeToken, app/,
  );
});

test('a name that is near to none is not explained', async () => {
  for (const name of ['url', 'x', '', 'constructor', '__proto__x']) {
    assert.doesNotMatch(await messageOf(() => new Inference(wrong({ [name]: 1 }))), /did you mean/);
  }
});
