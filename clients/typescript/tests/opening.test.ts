/** How a session handle is opened, and what happens to it meanwhile. */

import assert from 'node:assert/strict';

import { Code } from '@connectrpc/connect';
import type { HandlerContext } from '@connectrpc/connect';

import { AppError, CancelledError, DeadlineExceededError } from '../src/errors.js';
import { ErrorCode } from '../src/gen/sessiongateway/v1/errors_pb.js';
import type { RunRequest } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import { FakeClock } from './support/clock.js';
import { Sessions } from './support/sessions.js';
import { refusal, ScriptedGateway } from './support/scripted.js';
import { deferred, failureOf, test } from './support/testing.js';

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

test('ending the handle while its opening stream waits for the status behind the result ends the session', async (t) => {
  const clock = new FakeClock();
  const sessions = new Sessions();
  const runStream = async function* (request: RunRequest) {
    yield { part: { case: 'result' as const, value: sessions.run(request) } };
    await deferred<never>().promise;
  };
  const gateway = await ScriptedGateway.start(t, { ...sessions.script(), runStream });
  const session = gateway.client(t, { pacing: { clock, statusTimeout: 777 } }).session('kv');
  const step = session.stream().finish();
  await clock.sleeping(777);
  assert.equal((await session.end())?.status, 'ended');
  assert.deepEqual([(await step).session_id, sessions.ended], ['sess_1', ['sess_1']]);
});

test('a call keeps its result when the session that it opened for a closed handle cannot be ended', async (t) => {
  const sessions = new Sessions();
  const opens = deferred();
  const arrived = deferred();
  const run = async (request: RunRequest) => {
    arrived.resolve();
    await opens.promise;
    return sessions.run(request);
  };
  const endSession = () => {
    throw refusal(Code.Internal, { code: ErrorCode.INTERNAL });
  };
  const session = (await ScriptedGateway.start(t, { ...sessions.script(), run, endSession })).client(t).session('kv');
  const call = session.call({ n: 1 });
  await arrived.promise;
  await session.end();
  opens.resolve();
  assert.deepEqual((await call).output, { n: 1 });
});

test('when a failed first call wakes a stream and a call, the call is refused and does not wait for the reader', async (t) => {
  const sessions = new Sessions();
  const arrived = deferred();
  const fails = deferred();
  const run = async () => {
    arrived.resolve();
    await fails.promise;
    throw refusal(Code.Unknown, { code: ErrorCode.APP_ERROR });
  };
  const session = (await ScriptedGateway.start(t, { ...sessions.script(), run })).client(t).session('kv');
  const first = failureOf(session.call());
  await arrived.promise;
  const stream = session.stream();
  const output = stream.next();
  // The stream is to be in front.
  await new Promise((resolve) => setImmediate(resolve));
  const call = failureOf(session.call());
  fails.resolve();
  assert.ok((await first) instanceof AppError);
  assert.ok((await call) instanceof TypeError);
  assert.deepEqual((await output).value, { n: 1 });
  await stream.finish();
});
