import assert from 'node:assert/strict';

import { Code } from '@connectrpc/connect';
import type { HandlerContext } from '@connectrpc/connect';

import type { SessionGatewayError } from '../src/errors.js';
import { AppError, CancelledError, DeadlineExceededError, SessionExpiredError } from '../src/errors.js';
import { EndReason, ErrorCode } from '../src/gen/sessiongateway/v1/errors_pb.js';
import type { EndSessionRequest, RunRequest } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import { SessionStatus } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import { activeSession, refusal, ScriptedGateway } from './support/scripted.js';
import { deferred, failureOf, test } from './support/testing.js';

/** Opens sess_1, sess_2, ... of kv@v1, echoes, and keeps what it was asked. */
class Sessions {
  readonly runs: RunRequest[] = [];
  readonly ended: string[] = [];
  #opened = 0;

  readonly run = (request: RunRequest) => {
    this.runs.push(request);
    const sessionId = request.session === 'new' ? `sess_${(this.#opened += 1)}` : request.session;
    const value = request.payload.value as Uint8Array<ArrayBuffer>;
    return { sessionId, session: activeSession(sessionId), result: { case: 'outputJson' as const, value } };
  };

  readonly runStream = async function* (this: Sessions, request: RunRequest) {
    yield { part: { case: 'partialJson' as const, value: new TextEncoder().encode('{"n":1}') } };
    yield { part: { case: 'result' as const, value: this.run(request) } };
  };

  readonly endSession = ({ sessionId }: EndSessionRequest) => {
    this.ended.push(sessionId);
    return { session: activeSession(sessionId, { status: SessionStatus.ENDED, endReason: EndReason.CALLER }) };
  };

  script() {
    return { run: this.run, runStream: this.runStream.bind(this), endSession: this.endSession };
  }
}

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

test('calls that come while the session is being opened wait for it', async (t) => {
  const sessions = new Sessions();
  const opens = deferred();
  const arrived = deferred();
  const run = async (request: RunRequest) => {
    if (request.session === 'new') {
      arrived.resolve();
      await opens.promise;
    }
    return sessions.run(request);
  };
  const session = (await ScriptedGateway.start(t, { ...sessions.script(), run })).client(t).session('kv');
  const calls = Promise.all([session.call({ n: 1 }), session.call({ n: 2 }), session.stream({ n: 3 }).finish()]);
  await arrived.promise;
  const late = await failureOf(session.call({}, { timeoutMs: 20 }));
  assert.ok(late instanceof DeadlineExceededError);
  assert.equal(late.runState, 'not_started');
  const aborted = await failureOf(session.call({}, { signal: AbortSignal.abort() }));
  assert.ok(aborted instanceof CancelledError);
  opens.resolve();
  assert.deepEqual(
    (await calls).map(({ session_id: id }) => id),
    ['sess_1', 'sess_1', 'sess_1'],
  );
  assert.deepEqual(
    sessions.runs.map(({ session: id }) => id),
    ['new', 'sess_1', 'sess_1'],
  );
});

test('if the first call fails there is no session, and the next call is the first again', async (t) => {
  const sessions = new Sessions();
  const run = (request: RunRequest) => {
    if (request.function === 'fail') {
      throw refusal(Code.Unknown, { code: ErrorCode.APP_ERROR, sessionId: 'sess_0' });
    }
    return sessions.run(request);
  };
  const session = (await ScriptedGateway.start(t, { ...sessions.script(), run })).client(t).session('kv');
  const calls = [failureOf(session.call('fail')), session.call()];
  assert.ok((await calls[0]) instanceof AppError);
  await calls[1];
  assert.equal(session.id, 'sess_1');
});

test('a scope that is left while the opening call runs ends what that call has opened', async (t) => {
  const sessions = new Sessions();
  const opens = deferred();
  const arrived = deferred();
  const run = async (request: RunRequest) => {
    arrived.resolve();
    await opens.promise;
    return sessions.run(request);
  };
  const session = (await ScriptedGateway.start(t, { ...sessions.script(), run })).client(t).session('kv');
  const call = session.call();
  await arrived.promise;
  await session.end();
  opens.resolve();
  await call;
  assert.deepEqual(sessions.ended, ['sess_1']);
});

test('a stream opens the session with its result; until then other calls are refused', async (t) => {
  const sessions = new Sessions();
  const session = (await ScriptedGateway.start(t, sessions.script())).client(t).session('kv');
  const stream = session.stream('count', { steps: 1 });
  assert.deepEqual(await stream.next(), { done: false, value: { n: 1 } });
  const failure = await failureOf(session.call());
  assert.ok(failure instanceof TypeError);
  assert.match(failure.message, /read it to its end/);
  assert.equal((await stream.finish()).session_id, 'sess_1');
  await session.call();
  for await (const output of session.stream('count', { steps: 2 })) {
    assert.deepEqual(output, { n: 1 });
  }
  assert.deepEqual(
    sessions.runs.map(({ session: id }) => id),
    ['new', 'sess_1', 'sess_1'],
  );
});

test('ending the handle closes a stream that has not opened its session yet', async (t) => {
  const cancelled = deferred();
  const runStream = async function* (_: RunRequest, { signal }: HandlerContext) {
    signal.addEventListener('abort', () => {
      cancelled.resolve();
    });
    yield { part: { case: 'partialJson' as const, value: new TextEncoder().encode('{}') } };
    await deferred<never>().promise;
  };
  const session = (await ScriptedGateway.start(t, { runStream })).client(t).session('kv');
  const stream = session.stream();
  await stream.next();
  assert.equal(await session.end(), undefined);
  await cancelled.promise;
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
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
