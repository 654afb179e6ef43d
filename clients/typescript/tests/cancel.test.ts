import assert from 'node:assert/strict';

import { Code } from '@connectrpc/connect';

import type { SessionGatewayError } from '../src/errors.js';
import { CancelledError } from '../src/errors.js';
import { ErrorCode, RunState } from '../src/gen/sessiongateway/v1/errors_pb.js';
import { FakeClock } from './support/clock.js';
import { refusal, ScriptedGateway } from './support/scripted.js';
import { deferred, failureOf, test } from './support/testing.js';

const never = () => deferred<never>().promise;

test('aborting cancels the run on the gateway, and the reason is the cause of the error', async (t) => {
  const arrived = deferred();
  const cancelled = deferred();
  const gateway = await ScriptedGateway.start(t, {
    run: (_, { signal }) => {
      signal.addEventListener('abort', () => {
        cancelled.resolve();
      });
      arrived.resolve();
      return never();
    },
  });
  const client = gateway.client(t);
  const controller = new AbortController();
  const failure = failureOf(client.run({ app: 'kv' }, { signal: controller.signal }));
  await arrived.promise;
  controller.abort('enough');
  const error = await failure;
  assert.ok(error instanceof CancelledError);
  assert.deepEqual([error.runState, error.cause], ['unknown', 'enough']);
  await cancelled.promise;
  const again = await failureOf(client.run({ app: 'kv' }, { signal: controller.signal }));
  assert.equal((again as SessionGatewayError).runState, 'not_started');
});

test('closing the client rejects what is in flight, and what comes later', async (t) => {
  const arrived = deferred();
  const gateway = await ScriptedGateway.start(t, {
    run: () => {
      arrived.resolve();
      return never();
    },
  });
  const client = gateway.client(t);
  const failure = failureOf(client.run({ app: 'kv' }));
  await arrived.promise;
  await client.close();
  assert.ok((await failure) instanceof CancelledError);
  assert.ok((await failureOf(client.run({ app: 'kv' }))) instanceof TypeError);
  await client.close();
});

test('closing the client, or aborting, ends the wait of a run that is to be sent again', async (t) => {
  const clock = new FakeClock();
  let sent = 0;
  const refuse = () => {
    sent += 1;
    throw refusal(Code.Unavailable, {
      code: ErrorCode.GATEWAY_DRAINING,
      runState: RunState.NOT_STARTED,
      retryAfter: { seconds: 30n },
    });
  };
  const gateway = await ScriptedGateway.start(t, {
    run: refuse,
    runStream: async function* () {
      refuse();
    },
  });
  const client = gateway.client(t, { pacing: { clock } });
  const controller = new AbortController();
  const aborted = failureOf(client.run({ app: 'kv' }, { signal: controller.signal }));
  await clock.sleeping(30_000);
  controller.abort('enough');
  const failures = [await aborted];
  const waiting = [failureOf(client.run({ app: 'kv' })), failureOf(client.runStream({ app: 'kv' }).next())];
  await clock.sleeping(30_000, 2);
  await client.close();
  failures.push(...(await Promise.all(waiting)));
  for (const failure of failures) {
    assert.ok(failure instanceof CancelledError);
    assert.equal(failure.runState, 'not_started');
  }
  assert.equal((failures[0] as Error).cause, 'enough');
  assert.equal(sent, 3);
});

test('many runs may share a signal', async (t) => {
  const gateway = await ScriptedGateway.start(t, { run: never });
  const warnings: Error[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on('warning', listen);
  t.after(() => process.off('warning', listen));
  const client = gateway.client(t);
  const controller = new AbortController();
  const options = { signal: controller.signal };
  const failures = Promise.all(Array.from({ length: 30 }, () => failureOf(client.run({ app: 'kv' }, options))));
  await new Promise((resolve) => setImmediate(resolve));
  controller.abort();
  assert.ok((await failures).every((failure) => failure instanceof CancelledError));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, []);
});
