/** What becomes of the stream on which sessions are renewed. */

import assert from 'node:assert/strict';

import { Code, ConnectError } from '@connectrpc/connect';
import type { HandlerContext } from '@connectrpc/connect';

import { ErrorCode } from '../src/gen/sessiongateway/v1/errors_pb.js';
import { ScriptedGateway } from './support/scripted.js';
import { keeper, renewed } from './support/keeper.js';
import type { Requests } from './support/keeper.js';
import { FakeClock } from './support/clock.js';
import { deferred, test } from './support/testing.js';

test('a broken stream is opened again with growing pauses, and all sessions are asked about again', async (t) => {
  const clock = new FakeClock();
  let streams = 0;
  const streamKeepalive = async function* (requests: Requests) {
    streams += 1;
    if (streams < 4) {
      throw new ConnectError('x', Code.Unavailable);
    }
    for await (const { sessionIds } of requests) {
      yield* sessionIds.map((id) => renewed(id));
    }
  };
  const gateway = await ScriptedGateway.start(t, { streamKeepalive });
  const pacing = { clock, random: () => 1, reconnect: { initial: 100, maximum: 300 } };
  const stream = gateway.client(t, { pacing }).streamKeepalive(['sess_1']);
  for (const pause of [200, 300, 300]) {
    await clock.pass(pause);
  }
  assert.equal((await stream.next()).value?.session?.id, 'sess_1');
  assert.equal(streams, 4);
});

test('a gateway that stops answering is left and asked anew', async (t) => {
  const clock = new FakeClock();
  const arrived = deferred();
  const left = deferred();
  let streams = 0;
  const streamKeepalive = async function* (requests: Requests, { signal }: HandlerContext) {
    streams += 1;
    for await (const { sessionIds } of requests) {
      if (streams > 1) {
        yield* sessionIds.map((id) => renewed(id));
      } else {
        signal.addEventListener('abort', () => {
          left.resolve();
        });
        arrived.resolve();
      }
    }
  };
  const gateway = await ScriptedGateway.start(t, { streamKeepalive });
  const pacing = { clock, random: () => 0, replyTimeout: 10_000, reconnect: { initial: 100, maximum: 100 } };
  const stream = gateway.client(t, { pacing }).streamKeepalive(['sess_1']);
  await arrived.promise;
  await clock.pass(10_000);
  await left.promise;
  await clock.pass(50);
  assert.equal((await stream.next()).value?.session?.id, 'sess_1');
});

test('while the store is unavailable a session stays on the stream, and is asked about again when the gateway says', async (t) => {
  const clock = new FakeClock();
  const streams: number[] = [];
  const streamKeepalive = async function* (requests: Requests) {
    const number = streams.push(0) - 1;
    for await (const { sessionIds } of requests) {
      const asked = (streams[number] = (streams[number] ?? 0) + 1);
      for (const sessionId of sessionIds) {
        // The third time without a word of when.
        const value = {
          code: ErrorCode.STORE_UNAVAILABLE,
          sessionId,
          ...(asked < 3 && { retryAfter: { seconds: 3n } }),
        };
        yield asked < 4 ? { sessionId, outcome: { case: 'error' as const, value } } : renewed(sessionId);
      }
    }
  };
  const client = (await ScriptedGateway.start(t, { streamKeepalive })).client(t, {
    pacing: { clock, reconnect: { initial: 1, maximum: 5000 } },
  });
  const stream = client.streamKeepalive(['a']);
  for (const pause of [3000, 3000, 5000]) {
    await clock.pass(pause);
  }
  assert.equal((await stream.next()).value?.session?.id, 'a');
  assert.deepEqual(streams, [4]);
});

test('one session too many on a stream is told so, and the others stay', async (t) => {
  let streams = 0;
  const streamKeepalive = async function* (requests: Requests) {
    streams += 1;
    for await (const { sessionIds } of requests) {
      for (const sessionId of sessionIds) {
        const value = { code: ErrorCode.INVALID_REQUEST, sessionId };
        yield sessionId === 'c' ? { sessionId, outcome: { case: 'error' as const, value } } : renewed(sessionId);
      }
    }
  };
  const client = (await ScriptedGateway.start(t, { streamKeepalive })).client(t);
  const stream = client.streamKeepalive(['a', 'b', 'c']);
  const events = [await stream.next(), await stream.next(), await stream.next()].map(({ value }) => value);
  assert.deepEqual(
    events.map((event) => event?.error?.code),
    [undefined, undefined, 'INVALID_REQUEST'],
  );
  const later = client.streamKeepalive(['a']);
  assert.equal((await later.next()).value?.session?.id, 'a');
  assert.equal(streams, 1);
});

test('answers to many sessions wake the renewer a few times, not once each', async (t) => {
  const clock = new FakeClock();
  const { streamKeepalive } = keeper();
  const client = (await ScriptedGateway.start(t, { streamKeepalive })).client(t, { pacing: { clock } });
  const ids = Array.from({ length: 1000 }, (_, n) => `sess_${n}`);
  const stream = client.streamKeepalive(ids);
  const seen = new Set<string>();
  while (seen.size < ids.length) {
    seen.add((await stream.next()).value?.sessionId ?? '');
  }
  await clock.sleeping(20_000);
  assert.ok(clock.sleeps < 20, `${clock.sleeps} sleeps`);
});

test('more than a thousand sessions are asked about in several messages', async (t) => {
  const { streams, streamKeepalive } = keeper();
  const client = (await ScriptedGateway.start(t, { streamKeepalive })).client(t);
  const ids = Array.from({ length: 2500 }, (_, n) => `sess_${n}`);
  const stream = client.streamKeepalive(ids);
  const seen = new Set<string>();
  while (seen.size < ids.length) {
    seen.add((await stream.next()).value?.sessionId ?? '');
  }
  assert.deepEqual(
    streams[0]?.slice(0, 3).map((asked) => asked.length),
    [1000, 1000, 500],
  );
});
