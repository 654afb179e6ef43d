import assert from 'node:assert/strict';

import { Code, ConnectError } from '@connectrpc/connect';

import { Inference } from '../src/client.js';
import type { SessionGatewayError } from '../src/errors.js';
import { DeadlineExceededError, GatewayDrainingError, StoreUnavailableError, UnavailableError } from '../src/errors.js';
import { ErrorCode, RunState } from '../src/gen/sessiongateway/v1/errors_pb.js';
import type { RunRequest } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import { activeSession, echo, refusal, ScriptedGateway } from './support/scripted.js';
import { deferred, failureOf, test } from './support/testing.js';

const draining = refusal(Code.Unavailable, {
  code: ErrorCode.GATEWAY_DRAINING,
  runState: RunState.NOT_STARTED,
  retryAfter: { nanos: 1_000_000 },
});
const never = () => deferred<never>().promise;

test('every field reaches the gateway, and the second argument wins over the first', async (t) => {
  const requests: RunRequest[] = [];
  const gateway = await ScriptedGateway.start(t, {
    run: (request) => {
      requests.push(request);
      return { ...echo(request), sessionId: 'sess_1', callId: 'call_1', session: activeSession('sess_1') };
    },
  });
  const params = { app: 'kv', function: 'f', session: 'sess_0', session_timeout: 0, worker_id: 'w' };
  const result = await gateway
    .client(t)
    .run({ ...params, input: { n: 2n ** 64n } }, { session: 'new', request_id: 'r', expected_call_count: 2 ** 40 });
  const [request] = requests;
  assert.ok(request);
  const { app, function: fn, session, sessionTimeout, workerId, requestId, expectedCallCount } = request;
  assert.deepEqual(
    [app, fn, session, sessionTimeout, workerId, requestId, expectedCallCount],
    ['kv', 'f', 'new', 0, 'w', 'r', 2n ** 40n],
  );
  assert.deepEqual(result.output, { n: 2n ** 64n });
  assert.deepEqual([result.session_id, result.call_id, result.session?.status], ['sess_1', 'call_1', 'active']);
});

test('a field that is undefined or null counts as left out, and no input is an empty object', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    run: (request) => {
      assert.equal(request.sessionTimeout, undefined);
      assert.equal(request.expectedCallCount, undefined);
      return echo(request);
    },
  });
  const nothing = null as unknown as undefined;
  const result = await gateway
    .client(t)
    .run({ app: 'kv', input: nothing, session: undefined, session_timeout: nothing });
  assert.deepEqual([result.output, result.session_id, result.session], [{}, '', undefined]);
});

test('what cannot be sent is refused before anything is sent', async (t) => {
  const client = new Inference({ address: '127.0.0.1:1' });
  t.after(() => client.close());
  const refused: unknown[] = [
    {},
    { app: 'kv', sesion: 'new' },
    { app: 1 },
    { app: '\ud800' },
    { app: 'kv', session_timeout: 1.5 },
    { app: 'kv', session_timeout: 2 ** 31 },
    { app: 'kv', input: [] },
    { app: 'kv', input: 'text' },
    { app: 'kv', input: { x: NaN } },
  ];
  for (const params of refused) {
    assert.ok((await failureOf(client.run(params as { app: string }))) instanceof TypeError, JSON.stringify(params));
  }
  assert.ok((await failureOf(client.run({ app: 'kv' }, { timeoutMs: -1 }))) instanceof RangeError);
});

test('a run is sent again when the gateway took nothing, a few times', async (t) => {
  let sent = 0;
  const gateway = await ScriptedGateway.start(t, {
    run: (request) => {
      sent += 1;
      if (sent < 4) {
        throw draining;
      }
      return echo(request);
    },
  });
  await gateway.client(t).run({ app: 'kv' });
  assert.equal(sent, 4);
});

test('a gateway that cannot take a run for ever is given up', async (t) => {
  let sent = 0;
  const gateway = await ScriptedGateway.start(t, {
    run: () => {
      sent += 1;
      throw refusal(Code.Unavailable, { code: ErrorCode.STORE_UNAVAILABLE, runState: RunState.NOT_STARTED });
    },
  });
  assert.ok((await failureOf(gateway.client(t).run({ app: 'kv' }))) instanceof StoreUnavailableError);
  assert.equal(sent, 4);
});

test('a drained run does not wait beyond its deadline', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    run: () => {
      const retryAfter = { seconds: 3600n };
      throw refusal(Code.Unavailable, { code: ErrorCode.GATEWAY_DRAINING, runState: RunState.NOT_STARTED, retryAfter });
    },
  });
  const failure = await failureOf(gateway.client(t).run({ app: 'kv' }, { timeoutMs: 30_000 }));
  assert.ok(failure instanceof GatewayDrainingError);
});

test('a run is sent once when the answer is UNAVAILABLE, or when the connection breaks under it', async (t) => {
  const arrived = deferred();
  const sent: string[] = [];
  const gateway = await ScriptedGateway.start(t, {
    run: (request) => {
      sent.push(request.app);
      if (request.app === 'refused') {
        throw new ConnectError('x', Code.Unavailable);
      }
      arrived.resolve();
      return never();
    },
  });
  const client = gateway.client(t);
  assert.ok((await failureOf(client.run({ app: 'refused' }))) instanceof UnavailableError);
  const failure = failureOf(client.run({ app: 'cut' }));
  await arrived.promise;
  gateway.cut();
  const error = await failure;
  assert.ok(error instanceof UnavailableError);
  assert.equal(error.runState, 'unknown');
  assert.deepEqual(sent, ['refused', 'cut']);
});

test('requests that are safe to repeat are repeated while the gateway cannot be reached', async (t) => {
  let sent = 0;
  const gateway = await ScriptedGateway.start(t, {
    getSession: () => {
      sent += 1;
      if (sent < 4) {
        throw new ConnectError('x', Code.Unavailable);
      }
      return { session: activeSession('sess_1') };
    },
    endSession: () => {
      sent += 1;
      throw new ConnectError('x', Code.Internal);
    },
  });
  const client = gateway.client(t);
  assert.equal((await client.sessions.get('sess_1')).id, 'sess_1');
  assert.equal(sent, 4);
  assert.equal(((await failureOf(client.sessions.end('sess_1'))) as SessionGatewayError).code, 'INTERNAL');
  assert.equal(sent, 5);
});

test('without a connection a run has not started', async (t) => {
  const gateway = await ScriptedGateway.start(t, {});
  const client = gateway.client(t);
  await gateway.stop();
  const failure = await failureOf(client.run({ app: 'kv' }));
  assert.ok(failure instanceof UnavailableError);
  assert.equal(failure.runState, 'not_started');
});

test('a gateway that comes back is found with the next run', async (t) => {
  const gateway = await ScriptedGateway.start(t, { run: echo });
  const client = gateway.client(t);
  await client.run({ app: 'kv' });
  const { port } = gateway;
  await gateway.stop();
  await failureOf(client.run({ app: 'kv' }));
  await ScriptedGateway.start(t, { run: echo }, { port });
  await client.run({ app: 'kv' });
});

test('a deadline that has passed sends nothing, one that passes later leaves the run state unknown', async (t) => {
  let sent = 0;
  const gateway = await ScriptedGateway.start(t, {
    run: () => {
      sent += 1;
      return never();
    },
  });
  const client = gateway.client(t, { timeoutMs: 50 });
  const early = await failureOf(client.run({ app: 'kv' }, { timeoutMs: 0 }));
  assert.ok(early instanceof DeadlineExceededError);
  assert.deepEqual([early.runState, sent], ['not_started', 0]);
  const late = await failureOf(client.run({ app: 'kv' }));
  assert.ok(late instanceof DeadlineExceededError);
  assert.deepEqual([late.runState, sent], ['unknown', 1]);
});

test('a field of the second argument that is undefined does not win', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    run: (request) => ({ ...echo(request), sessionId: request.session }),
  });
  const result = await gateway.client(t).run({ app: 'kv', session: 'sess_1' }, { session: undefined });
  assert.equal(result.session_id, 'sess_1');
});
