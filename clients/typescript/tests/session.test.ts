import assert from 'node:assert/strict';

import { Code } from '@connectrpc/connect';

import type { SessionGatewayError } from '../src/errors.js';
import { DeadlineExceededError, SessionExpiredError } from '../src/errors.js';
import { EndReason, ErrorCode } from '../src/gen/sessiongateway/v1/errors_pb.js';
import { DEFAULT_PACING } from '../src/pacing.js';
import type { Renewer } from '../src/renewer.js';
import { Sessions as SessionsResource } from '../src/resources.js';
import { Runner } from '../src/runner.js';
import { Session } from '../src/session.js';
import { Transport } from '../src/transport.js';
import type { KeepaliveEvent } from '../src/types.js';
import { FakeClock } from './support/clock.js';
import { Sessions } from './support/sessions.js';
import { activeSession, refusal, ScriptedGateway } from './support/scripted.js';
import { deferred, failureOf, test } from './support/testing.js';

test('the first call opens the session, later ones are pinned to its version, leaving the scope ends it', async (t) => {
  const sessions = new Sessions();
  const gateway = await ScriptedGateway.start(t, sessions.script());
  const client = gateway.client(t);
  {
    await using session = client.session('kv', { sessionTimeout: 300 });
    assert.deepEqual([session.id, session.info], [undefined, undefined]);
    assert.deepEqual((await session.call({ action: 'init' })).output, { action: 'init' });
    assert.equal(session.id, 'sess_1');
    await session.call('get', { key: 1 }, { requestId: 'r1', expectedCallCount: 1 });
    await session.call('keys');
    await session.call();
    assert.deepEqual(sessions.ended, []);
  }
  assert.deepEqual(sessions.ended, ['sess_1']);
  assert.deepEqual(
    sessions.runs.map(({ app, session, sessionTimeout, function: fn }) => [app, session, sessionTimeout, fn]),
    [
      ['kv', 'new', 300, ''],
      ['kv@v1', 'sess_1', undefined, 'get'],
      ['kv@v1', 'sess_1', undefined, 'keys'],
      ['kv@v1', 'sess_1', undefined, ''],
    ],
  );
  assert.deepEqual([sessions.runs[1]?.requestId, sessions.runs[1]?.expectedCallCount], ['r1', 1n]);
});

test('a handle that was never called sends nothing, and the session ends also after an error', async (t) => {
  const sessions = new Sessions();
  const client = (await ScriptedGateway.start(t, sessions.script())).client(t);
  await client.session('kv').end();
  assert.deepEqual([sessions.runs, sessions.ended], [[], []]);
  const mine = new Error('mine');
  const failure = await failureOf(
    (async () => {
      await using session = client.session('kv');
      await session.call();
      throw mine;
    })(),
  );
  assert.equal(failure, mine);
  assert.deepEqual(sessions.ended, ['sess_1']);
});

test('a handle can be ended early and twice, and is then closed', async (t) => {
  const sessions = new Sessions();
  const client = (await ScriptedGateway.start(t, sessions.script())).client(t);
  const session = client.session('kv');
  await session.call();
  assert.equal((await session.end())?.status, 'ended');
  await session.end();
  assert.deepEqual(sessions.ended, ['sess_1']);
  assert.ok((await failureOf(session.call())) instanceof TypeError);
  assert.ok((await failureOf(session.stream().next())) instanceof TypeError);
  assert.equal(sessions.runs.length, 1);
});

test('ending a session whose record is gone is fine, another failure to end is told', async (t) => {
  const failures = [
    refusal(Code.NotFound, { code: ErrorCode.SESSION_NOT_FOUND }),
    refusal(Code.Internal, { code: ErrorCode.INTERNAL }),
  ];
  const endSession = () => {
    throw failures.shift() ?? new Error('one too many');
  };
  const client = (await ScriptedGateway.start(t, { ...new Sessions().script(), endSession })).client(t);
  const [gone, broken] = [client.session('kv'), client.session('kv')];
  await gone.call();
  await broken.call();
  assert.equal((await gone.end())?.id, 'sess_1');
  assert.equal(((await failureOf(broken.end())) as SessionGatewayError).code, 'INTERNAL');
});

test('leaving does not wait for ever', async (t) => {
  const endSession = () => deferred<never>().promise;
  const gateway = await ScriptedGateway.start(t, { ...new Sessions().script(), endSession });
  const session = gateway.client(t, { pacing: { endTimeout: 50 } }).session('kv');
  await session.call();
  assert.ok((await failureOf(session.end())) instanceof DeadlineExceededError);
});

test('the error of a call after a loss has the cause of the loss', async (t) => {
  const error = new SessionExpiredError('too late', { cause: 'mine' });
  let tell: (event: KeepaliveEvent) => void = () => undefined;
  const renewer = {
    add: (_: string, sink: typeof tell) => {
      tell = sink;
      return () => undefined;
    },
  } as unknown as Renewer;
  const pacing = { ...DEFAULT_PACING, clock: new FakeClock() };
  const { address } = await ScriptedGateway.start(t, new Sessions().script());
  const transport = new Transport(address, undefined, undefined, pacing);
  t.after(() => {
    transport.close();
  });
  const runner = new Runner(transport, pacing, undefined);
  const sessions = new SessionsResource(transport, runner, new Set());
  const session = new Session('kv', { keepalive: true }, { runner, sessions, renewer });
  await session.call();
  tell({ sessionId: 'sess_1', error });
  const failure = (await failureOf(session.call())) as SessionGatewayError;
  assert.deepEqual([failure.cause, failure.message, failure.runState], ['mine', 'too late', 'not_started']);
});

test('with keepalive the session is renewed, and its loss is told with the reason', async (t) => {
  const sessions = new Sessions();
  const dies = deferred();
  const script = {
    ...sessions.script(),
    streamKeepalive: async function* (requests: AsyncIterable<{ sessionIds: string[] }>) {
      for await (const { sessionIds } of requests) {
        for (const sessionId of sessionIds) {
          const session = activeSession(sessionId, { callCount: 7n });
          yield { sessionId, outcome: { case: 'session' as const, value: session } };
          await dies.promise;
          const error = {
            code: ErrorCode.SESSION_EXPIRED,
            message: 'too late',
            sessionId,
            endReason: EndReason.IDLE_TIMEOUT,
          };
          yield { sessionId, outcome: { case: 'error' as const, value: error } };
        }
      }
    },
  };
  const client = (await ScriptedGateway.start(t, script)).client(t);
  await using session = client.session('kv', { keepalive: true });
  await session.call();
  assert.equal(session.lost.aborted, false);
  const lost = deferred();
  session.lost.addEventListener('abort', () => {
    lost.resolve();
  });
  dies.resolve();
  await lost.promise;
  assert.equal(session.info?.callCount, 7);
  const reason = session.lost.reason as SessionGatewayError;
  assert.ok(reason instanceof SessionExpiredError);
  assert.deepEqual([reason.endReason, reason.runState], ['idle_timeout', undefined]);
  const failure = await failureOf(session.call());
  assert.ok(failure instanceof SessionExpiredError);
  assert.deepEqual([failure.runState, failure.endReason, sessions.runs.length], ['not_started', 'idle_timeout', 1]);
});
