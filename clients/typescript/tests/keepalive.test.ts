import assert from 'node:assert/strict';

import { Code } from '@connectrpc/connect';
import type { HandlerContext } from '@connectrpc/connect';

import type { SessionGatewayError } from '../src/errors.js';
import { KeepaliveStream } from '../src/keepalive-stream.js';
import type { Renewer } from '../src/renewer.js';
import type { KeepaliveEvent } from '../src/types.js';
import { SessionNotFoundError, UnauthenticatedError } from '../src/errors.js';
import { ErrorCode } from '../src/gen/sessiongateway/v1/errors_pb.js';
import { Outbox } from '../src/outbox.js';
import { activeSession, refusal, ScriptedGateway } from './support/scripted.js';
import { keeper, lost, renewed } from './support/keeper.js';
import type { Requests } from './support/keeper.js';
import { FakeClock } from './support/clock.js';
import { deferred, test } from './support/testing.js';

test('each session is renewed at a third of its own timeout, with jitter, on one stream of the client', async (t) => {
  const clock = new FakeClock();
  const { streams, streamKeepalive } = keeper({ slow: 600, fast: 60 });
  const gateway = await ScriptedGateway.start(t, { streamKeepalive });
  const client = gateway.client(t, { pacing: { clock, random: () => 0.5 } });
  const first = client.streamKeepalive(['slow']);
  const second = client.streamKeepalive(['fast']);
  await first.next();
  await second.next();
  for (let round = 0; round < 2; round += 1) {
    // A third of 60 s, less a tenth.
    await clock.pass(18_000);
    assert.equal((await second.next()).value?.session?.id, 'fast');
  }
  assert.deepEqual(streams, [[['fast', 'slow'], ['fast'], ['fast']]]);
});

test('a dead session is told and the live ones go on, and iterating ends when all are lost', async (t) => {
  const { streamKeepalive } = keeper();
  const client = (await ScriptedGateway.start(t, { streamKeepalive })).client(t);
  const stream = client.streamKeepalive(['gone', 'live', 'live']);
  const events = [await stream.next(), await stream.next()].map(({ value }) => value);
  const dead = events.find((event) => event?.sessionId === 'gone');
  assert.ok(dead?.error instanceof SessionNotFoundError);
  assert.equal(events.find((event) => event?.sessionId === 'live')?.session?.status, 'active');
  stream.close();
  assert.equal((await stream.next()).done, true);
  const seen: string[] = [];
  for await (const { sessionId } of client.streamKeepalive(['gone1', 'gone2'])) {
    seen.push(sessionId);
  }
  assert.deepEqual(seen.sort(), ['gone1', 'gone2']);
});

test('who reads slowly sees the newest renewal of each session, and every loss', async (t) => {
  const clock = new FakeClock();
  let round = 0;
  const sent = deferred();
  const streamKeepalive = async function* (requests: Requests) {
    for await (const { sessionIds } of requests) {
      round += 1;
      for (const id of sessionIds) {
        if (id === 'dies' && round === 3) {
          yield lost(id);
          sent.resolve();
        } else {
          yield {
            sessionId: id,
            outcome: { case: 'session' as const, value: activeSession(id, { callCount: BigInt(round) }) },
          };
        }
      }
    }
  };
  const gateway = await ScriptedGateway.start(t, { streamKeepalive });
  const stream = gateway.client(t, { pacing: { clock } }).streamKeepalive(['lives', 'dies']);
  await stream.next();
  await clock.pass(20_000);
  await clock.pass(20_000);
  await sent.promise;
  // The last answer is taken before the renewer sleeps for the next round.
  await clock.sleeping(20_000);
  const events = [await stream.next(), await stream.next()].map(({ value }) => value);
  assert.deepEqual(events.map((event) => [event?.sessionId, event?.session?.callCount, event?.error?.code]).sort(), [
    ['dies', undefined, 'SESSION_NOT_FOUND'],
    ['lives', 3, undefined],
  ]);
});

test('a connection that is cut is replaced, and the sessions live on', async (t) => {
  const { streams, streamKeepalive } = keeper();
  const gateway = await ScriptedGateway.start(t, { streamKeepalive });
  const stream = gateway.client(t).streamKeepalive(['sess_1']);
  await stream.next();
  gateway.cut();
  assert.equal((await stream.next()).value?.session?.id, 'sess_1');
  assert.equal(streams.length, 2);
});

test('an id that is none is refused before anything is sent', async (t) => {
  const { streams, streamKeepalive } = keeper();
  const client = (await ScriptedGateway.start(t, { streamKeepalive })).client(t);
  const { id } = client.session('kv');
  for (const wrong of [[id as unknown as string], [''], ['a', 1 as unknown as string]]) {
    assert.throws(() => client.streamKeepalive(wrong), TypeError);
  }
  assert.equal((await client.streamKeepalive([]).next()).done, true);
  assert.deepEqual(streams, []);
});

test('a stream is held by its client for as long as it renews something', async () => {
  const sinks: ((event: KeepaliveEvent) => void)[] = [];
  const add = (_: string, sink: (event: KeepaliveEvent) => void) => {
    sinks.push(sink);
    return () => undefined;
  };
  const active = new Set<KeepaliveStream>();
  const stream = new KeepaliveStream({ add } as unknown as Renewer, ['a', 'b'], active);
  assert.ok(active.has(stream));
  const error = new SessionNotFoundError('gone');
  sinks[0]?.({ sessionId: 'a', error });
  assert.ok(active.has(stream));
  sinks[1]?.({ sessionId: 'b', error });
  assert.equal(active.size, 0);
  new KeepaliveStream({ add } as unknown as Renewer, [], active);
  assert.equal(active.size, 0);
  await stream.next();
});

test('a stream that is refused for good loses all its sessions', async (t) => {
  const streamKeepalive = () => {
    throw refusal(Code.Unauthenticated, { code: ErrorCode.UNAUTHENTICATED });
  };
  const client = (await ScriptedGateway.start(t, { streamKeepalive })).client(t);
  const errors: SessionGatewayError[] = [];
  for await (const { error } of client.streamKeepalive(['a', 'b'])) {
    assert.ok(error instanceof UnauthenticatedError);
    errors.push(error);
  }
  assert.equal(errors.length, 2);
});

test('closing ends the stream to the gateway, and closing the client ends an iteration that waits', async (t) => {
  const over = [deferred(), deferred()];
  let streams = 0;
  const streamKeepalive = async function* (requests: Requests, { signal }: HandlerContext) {
    const end = over[streams];
    streams += 1;
    signal.addEventListener('abort', () => end?.resolve());
    for await (const { sessionIds } of requests) {
      yield* sessionIds.map((id) => renewed(id));
    }
  };
  const client = (await ScriptedGateway.start(t, { streamKeepalive })).client(t);
  const stream = client.streamKeepalive(['sess_1']);
  await stream.next();
  stream.close();
  await over[0]?.promise;
  const other = client.streamKeepalive(['sess_2']);
  await other.next();
  const waiting = other.next();
  await client.close();
  assert.equal((await waiting).done, true);
  await over[1]?.promise;
});

test('what is put into an outbox comes out in order, and closing it ends it behind that', async () => {
  const outbox = new Outbox<number>();
  const seen: number[] = [];
  const reading = (async () => {
    for await (const value of outbox) {
      seen.push(value);
    }
  })();
  outbox.put(1);
  await Promise.resolve();
  outbox.put(2);
  outbox.put(3);
  outbox.close();
  await reading;
  assert.deepEqual(seen, [1, 2, 3]);
});
