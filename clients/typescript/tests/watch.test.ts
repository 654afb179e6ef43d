import assert from 'node:assert/strict';

import { Code, ConnectError } from '@connectrpc/connect';

import { GatewayDrainingError, InvalidRequestError, UnavailableError } from '../src/errors.js';
import { ErrorCode } from '../src/gen/sessiongateway/v1/errors_pb.js';
import { SessionEvent } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import type { WatchSessionsRequest } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import { DEFAULT_PACING } from '../src/pacing.js';
import { Transport } from '../src/transport.js';
import type { WatchEvent } from '../src/types.js';
import { WatchStream } from '../src/watch.js';
import { activeSession, IMPATIENT, refusal, ScriptedGateway } from './support/scripted.js';
import { FakeClock } from './support/clock.js';
import { deferred, failureOf, test } from './support/testing.js';

const watching = (resumeToken: string) => ({ event: SessionEvent.WATCHING, resumeToken });
const created = (resumeToken: string, event = SessionEvent.CREATED) => ({
  event,
  resumeToken,
  session: activeSession(`sess_${resumeToken}`),
  occurredAt: { seconds: 1n },
});
const draining = refusal(Code.Unavailable, { code: ErrorCode.GATEWAY_DRAINING, retryAfter: { seconds: 2n } });
const forever = () => deferred<never>().promise;

async function take(events: AsyncIterator<WatchEvent, undefined>, count: number): Promise<(WatchEvent | undefined)[]> {
  const found = [];
  for (let n = 0; n < count; n += 1) {
    found.push((await events.next()).value);
  }
  return found;
}

test('events come with their session, time and token; those of a newer gateway have a name all the same', async (t) => {
  const requests: WatchSessionsRequest[] = [];
  const watchSessions = async function* (request: WatchSessionsRequest) {
    requests.push(request);
    yield watching('0');
    yield created('1');
    yield created('2', 99 as SessionEvent);
    await forever();
  };
  const client = (await ScriptedGateway.start(t, { watchSessions })).client(t);
  await using watch = client.sessions.watch({ resumeToken: 'old', app: 'kv' });
  assert.equal(watch.resumeToken, 'old');
  assert.deepEqual(await take(watch, 1), [
    {
      event: 'created',
      session: (await take(client.sessions.watch(), 1))[0]?.session,
      occurredAt: new Date(1000),
      resumeToken: '1',
    },
  ]);
  assert.equal(watch.resumeToken, '1');
  assert.equal((await take(watch, 1))[0]?.event, 'unknown_99');
  assert.deepEqual([requests[0]?.resumeToken, requests[0]?.app], ['old', 'kv']);
});

test('opened waits until the watch stands, and then there is a token', async (t) => {
  const stands = deferred();
  const watchSessions = async function* () {
    await stands.promise;
    yield watching('0');
    yield created('1');
    await forever();
  };
  const watch = (await ScriptedGateway.start(t, { watchSessions })).client(t).sessions.watch();
  const opened = watch.opened();
  assert.equal(watch.resumeToken, '');
  stands.resolve();
  assert.equal(await opened, watch);
  assert.notEqual(watch.resumeToken, '');
  await watch.opened();
  assert.equal((await take(watch, 1))[0]?.resumeToken, '1');
});

test('opened may be asked for several times at once', async (t) => {
  const stands = deferred();
  const watchSessions = async function* () {
    await stands.promise;
    yield watching('0');
    await forever();
  };
  const watch = (await ScriptedGateway.start(t, { watchSessions })).client(t).sessions.watch();
  const opened = Promise.all([watch.opened(), watch.opened(), watch.opened()]);
  stands.resolve();
  assert.deepEqual(await opened, [watch, watch, watch]);
});

test('a watch is held by its client only while it has a stream, or waits for one', async (t) => {
  let streams = 0;
  const watchSessions = async function* () {
    streams += 1;
    if (streams !== 2) {
      throw refusal(Code.InvalidArgument, { code: ErrorCode.INVALID_REQUEST });
    }
    yield created('1');
  };
  const { address } = await ScriptedGateway.start(t, { watchSessions });
  const transport = new Transport(address, undefined, undefined, DEFAULT_PACING);
  t.after(() => {
    transport.close();
  });
  const active = new Set<WatchStream>();
  const watch = new WatchStream(transport, { ...DEFAULT_PACING, ...IMPATIENT }, {}, active);
  await failureOf(watch.opened());
  assert.equal(active.size, 0);
  await watch.next();
  assert.ok(active.has(watch));
  await failureOf(watch.next());
  assert.equal(active.size, 0);
});

test('watching is shown to those who ask', async (t) => {
  const watchSessions = async function* () {
    yield watching('0');
    await forever();
  };
  const watch = (await ScriptedGateway.start(t, { watchSessions })).client(t).sessions.watch({ showWatching: true });
  const [event] = await take(watch, 1);
  assert.deepEqual([event?.event, event?.session], ['watching', undefined]);
});

test('a watch that breaks goes on behind the last event that was read, however often', async (t) => {
  const tokens: string[] = [];
  const watchSessions = async function* ({ resumeToken }: WatchSessionsRequest) {
    tokens.push(resumeToken);
    const last = Number(resumeToken);
    yield watching(resumeToken || '0');
    yield created(String(last + 1));
    if (tokens.length % 2) {
      throw new ConnectError('x', Code.Unavailable);
    }
  };
  const watch = (await ScriptedGateway.start(t, { watchSessions })).client(t).sessions.watch();
  const events = await take(watch, 4);
  assert.deepEqual(
    events.map((event) => event?.resumeToken),
    ['1', '2', '3', '4'],
  );
  assert.deepEqual(tokens.slice(0, 4), ['', '1', '2', '3']);
});

test('a gateway that was cut off or restarted is found again', async (t) => {
  const script = {
    watchSessions: async function* ({ resumeToken }: WatchSessionsRequest) {
      yield watching(resumeToken || '0');
      if (resumeToken) {
        yield created('1');
      }
      await forever();
    },
  };
  const gateway = await ScriptedGateway.start(t, script);
  const watch = await gateway.client(t).sessions.watch().opened();
  const event = watch.next();
  const { port } = gateway;
  await gateway.stop();
  await ScriptedGateway.start(t, script, { port });
  assert.equal((await event).value?.resumeToken, '1');
});

test('a gateway that stops is asked again after the time that it names, one that is silent after a while', async (t) => {
  const clock = new FakeClock();
  let streams = 0;
  const silent = deferred();
  const watchSessions = async function* () {
    streams += 1;
    yield watching('0');
    if (streams === 1) {
      throw draining;
    }
    if (streams === 2) {
      silent.resolve();
      await forever();
    }
    yield created('1');
  };
  const gateway = await ScriptedGateway.start(t, { watchSessions });
  const pacing = { clock, watchTimeout: 100_000, reconnect: { initial: 100, maximum: 100 } };
  const event = gateway.client(t, { pacing }).sessions.watch().next();
  await clock.pass(2000);
  await silent.promise;
  await clock.pass(100_000);
  await clock.pass(50);
  assert.equal((await event).value?.resumeToken, '1');
});

test('before it stands, a gateway that cannot be reached is an error, and one that drains is asked a few times', async (t) => {
  let streams = 0;
  const watchSessions = () => {
    streams += 1;
    throw refusal(Code.Unavailable, { code: ErrorCode.GATEWAY_DRAINING });
  };
  const gateway = await ScriptedGateway.start(t, { watchSessions });
  const client = gateway.client(t);
  assert.ok((await failureOf(client.sessions.watch().opened())) instanceof GatewayDrainingError);
  assert.equal(streams, 4);
  await gateway.stop();
  assert.ok((await failureOf(client.sessions.watch().next())) instanceof UnavailableError);
});

test('a token that is refused is an error at any time, and iterating on tries again', async (t) => {
  let streams = 0;
  const watchSessions = async function* () {
    streams += 1;
    if (streams === 2) {
      throw refusal(Code.InvalidArgument, { code: ErrorCode.INVALID_REQUEST });
    }
    yield created(String(streams));
  };
  const watch = (await ScriptedGateway.start(t, { watchSessions })).client(t).sessions.watch();
  await watch.next();
  assert.ok((await failureOf(watch.next())) instanceof InvalidRequestError);
  assert.equal((await watch.next()).value?.resumeToken, '3');
});

test('closing ends an iteration that waits, leaving a loop closes, and so does closing the client', async (t) => {
  const watchSessions = async function* () {
    yield watching('0');
    yield created('1');
    await forever();
  };
  const client = (await ScriptedGateway.start(t, { watchSessions })).client(t);
  const watch = client.sessions.watch();
  for await (const event of watch) {
    assert.equal(event.event, 'created');
    break;
  }
  assert.equal((await watch.next()).done, true);
  const other = client.sessions.watch();
  await other.next();
  const waiting = other.next();
  await client.close();
  assert.equal((await waiting).done, true);
  await other.close();
});
