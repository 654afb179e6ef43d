import assert from 'node:assert/strict';

import { Code, ConnectError } from '@connectrpc/connect';
import type { ServiceImpl } from '@connectrpc/connect';

import type { SessionGatewayError } from '../src/errors.js';
import { AppError, CancelledError, DeadlineExceededError, UnavailableError } from '../src/errors.js';
import { ErrorCode, RunState } from '../src/gen/sessiongateway/v1/errors_pb.js';
import type { SessionService } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import type { JsonObject } from '../src/json.js';
import { refusal, ScriptedGateway } from './support/scripted.js';
import { deferred, failureOf, test } from './support/testing.js';

type Script = ServiceImpl<typeof SessionService>['runStream'];

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const partial = (value: unknown) => ({ part: { case: 'partialJson' as const, value: json(value) } });
const result = (value: unknown) => ({
  part: { case: 'result' as const, value: { result: { case: 'outputJson' as const, value: json(value) } } },
});

/** Yields two partial outputs and waits for ever; `over` is resolved when the caller has left. */
function endless(): { script: Script; over: Promise<void>; waiting: Promise<void> } {
  const over = deferred();
  const waiting = deferred();
  const script: Script = async function* (_, { signal }) {
    signal.addEventListener('abort', () => {
      over.resolve();
    });
    yield partial({ n: 1 });
    yield partial({ n: 2 });
    waiting.resolve();
    await deferred<never>().promise;
  };
  return { script, over: over.promise, waiting: waiting.promise };
}

test('outputs come in order and the result at the end, with exact integers', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    runStream: async function* () {
      yield { part: { case: 'partialJson', value: new TextEncoder().encode('{"n":12345678901234567890}') } };
      yield { part: { case: 'partial', value: { n: 2 } } };
      yield { part: { case: undefined } };
      yield result({ n: 3 });
    },
  });
  const stream = gateway.client(t).runStream({ app: 'kv' });
  const seen: JsonObject[] = [];
  for await (const output of stream) {
    seen.push(output);
  }
  assert.deepEqual(seen, [{ n: 12345678901234567890n }, { n: 2 }]);
  assert.deepEqual(stream.result.output, { n: 3 });
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test('the rest can be passed over for the result', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    runStream: async function* () {
      yield partial({});
      yield result({ done: true });
    },
  });
  const stream = gateway.client(t).runStream({ app: 'kv' });
  assert.throws(() => stream.result, TypeError);
  assert.deepEqual((await stream.finish()).output, { done: true });
});

test('every output that came before an error is seen, however slow the reader is', async (t) => {
  const sent = deferred();
  const gateway = await ScriptedGateway.start(t, {
    runStream: async function* () {
      for (let n = 0; n < 50; n += 1) {
        yield partial({ n });
      }
      setImmediate(() => {
        sent.resolve();
      });
      throw refusal(Code.Unknown, { code: ErrorCode.APP_ERROR, runState: RunState.COMPLETED });
    },
  });
  const stream = gateway.client(t).runStream({ app: 'kv' });
  await stream.next();
  await sent.promise;
  let seen = 1;
  const failure = await failureOf(
    (async () => {
      for await (const output of stream) {
        assert.equal(output.n, seen);
        seen += 1;
        await new Promise((resolve) => setImmediate(resolve));
      }
    })(),
  );
  assert.ok(failure instanceof AppError);
  assert.equal(seen, 50);
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
  assert.throws(() => stream.result, TypeError);
});

test('nothing is sent before the first step, and what cannot be sent is refused at once', async (t) => {
  let sent = 0;
  const gateway = await ScriptedGateway.start(t, {
    runStream: async function* () {
      sent += 1;
      yield result({});
    },
  });
  const client = gateway.client(t);
  const stream = client.runStream({ app: 'kv' });
  await stream.close();
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
  assert.equal(sent, 0);
  assert.throws(() => client.runStream({ app: 'kv', input: { x: NaN } }), TypeError);
});

test('leaving a loop cancels the run on the gateway', async (t) => {
  const { script, over } = endless();
  const gateway = await ScriptedGateway.start(t, { runStream: script });
  for await (const output of gateway.client(t).runStream({ app: 'kv' })) {
    assert.deepEqual(output, { n: 1 });
    break;
  }
  await over;
});

test('a scope around a stream cancels the run when it is left', async (t) => {
  const { script, over } = endless();
  const gateway = await ScriptedGateway.start(t, { runStream: script });
  {
    await using stream = gateway.client(t).runStream({ app: 'kv' });
    await stream.next();
  }
  await over;
});

test('a step that waits while the stream is closed rejects', async (t) => {
  const { script, over, waiting } = endless();
  const gateway = await ScriptedGateway.start(t, { runStream: script });
  const stream = gateway.client(t).runStream({ app: 'kv' });
  await stream.next();
  await stream.next();
  const failure = failureOf(stream.next());
  await waiting;
  await stream.close();
  assert.ok((await failure) instanceof CancelledError);
  await over;
});

test('a step rejects also when the stream is closed, or its signal aborted, right behind it', async (t) => {
  const { script } = endless();
  const client = (await ScriptedGateway.start(t, { runStream: script })).client(t);
  for (const isBegun of [false, true]) {
    const closed = client.runStream({ app: 'kv' });
    const controller = new AbortController();
    const aborted = client.runStream({ app: 'kv' }, { signal: controller.signal });
    if (isBegun) {
      await Promise.all([closed.next(), aborted.next()]);
    }
    const failures = [failureOf(closed.next()), failureOf(aborted.next())];
    await closed.close();
    controller.abort('enough');
    for (const failure of await Promise.all(failures)) {
      assert.ok(failure instanceof CancelledError);
    }
    assert.deepEqual(await closed.next(), { done: true, value: undefined });
  }
});

test('aborting the signal between two steps makes the next one reject', async (t) => {
  const { script, over } = endless();
  const client = (await ScriptedGateway.start(t, { runStream: script })).client(t);
  const controller = new AbortController();
  const stream = client.runStream({ app: 'kv' }, { signal: controller.signal });
  await stream.next();
  controller.abort('enough');
  const failure = (await failureOf(stream.finish())) as SessionGatewayError;
  assert.deepEqual([failure.code, failure.cause], ['CANCELLED', 'enough']);
  await over;
});

test('aborting the signal cancels the run, and so does closing the client', async (t) => {
  for (const how of ['abort', 'close']) {
    const { script, over } = endless();
    const gateway = await ScriptedGateway.start(t, { runStream: script });
    const client = gateway.client(t);
    const controller = new AbortController();
    const stream = client.runStream({ app: 'kv' }, { signal: controller.signal });
    await stream.next();
    await stream.next();
    const failure = failureOf(stream.next());
    if (how === 'abort') {
      controller.abort();
    } else {
      await client.close();
    }
    assert.ok((await failure) instanceof CancelledError);
    await over;
  }
});

test('the deadline is that of the whole stream', async (t) => {
  const { script } = endless();
  const gateway = await ScriptedGateway.start(t, { runStream: script });
  const failure = await failureOf(gateway.client(t).runStream({ app: 'kv' }, { timeoutMs: 200 }).finish());
  assert.ok(failure instanceof DeadlineExceededError);
  assert.equal(failure.runState, 'unknown');
});

test('a connection that breaks leaves the run state unknown and sends nothing again', async (t) => {
  const { script, waiting } = endless();
  let sent = 0;
  const gateway = await ScriptedGateway.start(t, {
    runStream: (request, context) => {
      sent += 1;
      return script(request, context);
    },
  });
  const stream = gateway.client(t).runStream({ app: 'kv' });
  await stream.next();
  await stream.next();
  const failure = failureOf(stream.next());
  await waiting;
  gateway.cut();
  const error = await failure;
  assert.ok(error instanceof UnavailableError);
  assert.deepEqual([error.runState, sent], ['unknown', 1]);
});

test('without a connection a stream has not started', async (t) => {
  const gateway = await ScriptedGateway.start(t, {});
  const client = gateway.client(t);
  await gateway.stop();
  const failure = (await failureOf(client.runStream({ app: 'kv' }).next())) as SessionGatewayError;
  assert.deepEqual([failure.code, failure.runState], ['UNAVAILABLE', 'not_started']);
});

test('a stream is sent again while the gateway drains, but not once it has begun', async (t) => {
  let sent = 0;
  const draining = refusal(Code.Unavailable, { code: ErrorCode.GATEWAY_DRAINING, runState: RunState.NOT_STARTED });
  const gateway = await ScriptedGateway.start(t, {
    runStream: async function* ({ app }) {
      sent += 1;
      if (app === 'begun') {
        yield partial({});
        throw draining;
      }
      if (sent < 3) {
        throw draining;
      }
      yield result({});
    },
  });
  const client = gateway.client(t);
  await client.runStream({ app: 'kv' }).finish();
  assert.equal(sent, 3);
  const failure = (await failureOf(client.runStream({ app: 'begun' }).finish())) as SessionGatewayError;
  assert.deepEqual([failure.code, sent], ['GATEWAY_DRAINING', 4]);
});

test('a stream that ends without a result has failed', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    runStream: async function* () {
      yield partial({});
    },
  });
  const failure = (await failureOf(gateway.client(t).runStream({ app: 'kv' }).finish())) as SessionGatewayError;
  assert.deepEqual([failure.code, failure.runState], ['INVALID_RESPONSE', 'unknown']);
});

test('a result counts whatever status follows, and is not held back by a stream that stays open', async (t) => {
  const gateway = await ScriptedGateway.start(t, {
    runStream: async function* ({ app }) {
      yield result({ app });
      if (app === 'open') {
        await deferred<never>().promise;
      }
      throw new ConnectError('late', Code.Internal);
    },
  });
  const client = gateway.client(t, { pacing: { statusTimeout: 1 } });
  for (const app of ['open', 'broken']) {
    assert.deepEqual((await client.runStream({ app }).finish()).output, { app });
  }
});
