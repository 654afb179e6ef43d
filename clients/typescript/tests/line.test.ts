/** Connections that stall, vanish, and are left for others. */

import assert from 'node:assert/strict';
import { createServer } from 'node:http2';
import type { ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';

import { Connection } from '../src/connection.js';
import { DeadlineExceededError, UnavailableError } from '../src/errors.js';
import { SessionEvent } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import type { RunRequest, StreamKeepaliveRequest } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import { FakeClock } from './support/clock.js';
import { Front, selfSigned } from './support/front.js';
import { activeSession, echo, ScriptedGateway } from './support/scripted.js';
import { deferred, failureOf, test } from './support/testing.js';

const tls = selfSigned();
const trusted = { tls: { ca: tls.cert } };
const CONNECT = 20_000;
const forever = () => deferred<never>().promise;

/** Renews, and tells of one session. */
const streams = {
  streamKeepalive: async function* (requests: AsyncIterable<StreamKeepaliveRequest>) {
    for await (const { sessionIds } of requests) {
      for (const sessionId of sessionIds) {
        yield { sessionId, outcome: { case: 'session' as const, value: activeSession(sessionId) } };
      }
    }
  },
  watchSessions: async function* () {
    yield { event: SessionEvent.CREATED, resumeToken: '1', session: activeSession('sess_1') };
    await forever();
  },
};

test('a connection that is older than its first request by more than connectTimeout is kept', async (t) => {
  const clock = new FakeClock();
  const told = deferred();
  const server = createServer((_, response) => response.end());
  // The client has taken the settings of the server, which is what the watch for its first word waits for.
  server.on('session', (session: ServerHttp2Session) => session.on('localSettings', told.resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const connection = new Connection(url, {}, { clock, connectTimeout: CONNECT });
  t.after(() => {
    connection.abort();
  });
  const get = async () => {
    const stream = await connection.request('POST', '/', {}, {});
    const { session } = stream;
    const closed = deferred();
    stream.on('close', closed.resolve).resume().end();
    await closed.promise;
    return session;
  };
  assert.equal(await connection.reach(), true);
  await told.promise;
  const first = await get();
  clock.advance(CONNECT);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(first && !first.destroyed);
  assert.equal(await get(), first);
});

test('an attempt to connect ends after a while also when nobody waits for it any more', async (t) => {
  const clock = new FakeClock();
  const gateway = await ScriptedGateway.start(t, { run: echo }, { tls });
  const front = await Front.put(t, gateway.port, 'vanishes', 'passes');
  const client = gateway.client(t, { address: front.address, ...trusted, pacing: { clock, connectTimeout: CONNECT } });
  const failure = failureOf(client.run({ app: 'kv' }, { timeoutMs: 5000 }));
  await front.arrival(0);
  await clock.pass(5000);
  assert.ok((await failure) instanceof DeadlineExceededError);
  clock.advance(CONNECT - 5000);
  await front.end(0);
  await client.run({ app: 'kv' });
});

test('an attempt that stalls fails for those who began it, and not for who has just come', async (t) => {
  const clock = new FakeClock();
  const gateway = await ScriptedGateway.start(t, { run: echo }, { tls });
  const front = await Front.put(t, gateway.port, 'vanishes', 'passes');
  const client = gateway.client(t, { address: front.address, ...trusted, pacing: { clock, connectTimeout: CONNECT } });
  const first = failureOf(client.run({ app: 'kv' }));
  await front.arrival(0);
  // The caller's wait, and that of the attempt.
  await clock.sleeping(CONNECT, 2);
  clock.advance(CONNECT - 1000);
  const second = client.run({ app: 'kv', input: { n: 2 } });
  await clock.sleeping(CONNECT, 3);
  clock.advance(1000);
  const error = await first;
  assert.ok(error instanceof UnavailableError);
  assert.equal(error.runState, 'not_started');
  assert.deepEqual((await second).output, { n: 2 });
});

test('an attempt that stalls does not touch calls that are ending on the connection before it', async (t) => {
  const clock = new FakeClock();
  const arrived = deferred();
  const ends = deferred();
  const run = async (request: RunRequest) => {
    arrived.resolve();
    await ends.promise;
    return echo(request);
  };
  const gateway = await ScriptedGateway.start(t, { run }, { tls });
  const front = await Front.put(t, gateway.port, 'passes', 'vanishes');
  const client = gateway.client(t, { address: front.address, ...trusted, pacing: { clock, connectTimeout: CONNECT } });
  const ending = client.run({ app: 'kv', input: { n: 1 } });
  await arrived.promise;
  await gateway.goAway();
  const stalled = failureOf(client.run({ app: 'kv' }));
  await front.arrival(1);
  await clock.sleeping(CONNECT, 2);
  clock.advance(CONNECT);
  assert.ok((await stalled) instanceof UnavailableError);
  ends.resolve();
  assert.deepEqual((await ending).output, { n: 1 });
});

test('streams give up a connection that stalls after connectTimeout', async (t) => {
  const clock = new FakeClock();
  const gateway = await ScriptedGateway.start(t, streams, { tls });
  const pacing = { clock, connectTimeout: CONNECT, reconnect: { initial: 100, maximum: 100 } };
  const front = await Front.put(t, gateway.port, 'vanishes', 'passes');
  const client = gateway.client(t, { address: front.address, ...trusted, pacing });
  const renewal = client.streamKeepalive(['sess_1']).next();
  const watch = failureOf(client.sessions.watch().opened());
  await front.arrival(0);
  await clock.sleeping(CONNECT, 3);
  clock.advance(CONNECT);
  assert.ok((await watch) instanceof UnavailableError);
  await clock.pass(50);
  assert.equal((await renewal).value?.session?.id, 'sess_1');
});

test('a stream that goes silent leaves its connection: the host may have vanished, and another be there', async (t) => {
  for (const [silence, open] of [
    [10_000, 'keepalive'],
    [100_000, 'watch'],
  ] as const) {
    const clock = new FakeClock();
    const gateway = await ScriptedGateway.start(t, streams);
    const front = await Front.put(t, gateway.port, 'vanishes', 'passes');
    const pacing = { clock, connectTimeout: 1e9, reconnect: { initial: 100, maximum: 100 } };
    const client = gateway.client(t, { address: front.address, pacing });
    const step = open === 'watch' ? failureOf(client.sessions.watch().next()) : client.streamKeepalive(['x']).next();
    await front.arrival(0);
    await clock.pass(silence);
    if (open === 'watch') {
      assert.ok((await step) instanceof UnavailableError);
      assert.equal((await client.sessions.watch().next()).value?.resumeToken, '1');
    } else {
      await clock.pass(50);
      await step;
    }
    assert.equal(front.connections, 2, open);
  }
});

test('what is in flight on a connection that was left goes on, and the connection is closed behind it', async (t) => {
  const clock = new FakeClock();
  const arrived = deferred();
  const asked = deferred();
  const ends = deferred();
  let opened = 0;
  const streamKeepalive = async function* (requests: AsyncIterable<StreamKeepaliveRequest>) {
    opened += 1;
    if (opened === 1) {
      asked.resolve();
      await forever();
    }
    yield* streams.streamKeepalive(requests);
  };
  const run = async (request: RunRequest) => {
    arrived.resolve();
    await ends.promise;
    return echo(request);
  };
  const gateway = await ScriptedGateway.start(t, { run, streamKeepalive });
  const front = await Front.put(t, gateway.port, 'passes');
  const pacing = { clock, replyTimeout: 10_000, reconnect: { initial: 100, maximum: 100 } };
  const client = gateway.client(t, { address: front.address, pacing });
  const call = client.run({ app: 'kv', input: { n: 1 } });
  await arrived.promise;
  const stream = client.streamKeepalive(['sess_1']);
  await asked.promise;
  await clock.pass(10_000);
  await clock.pass(50);
  assert.equal((await stream.next()).value?.session?.id, 'sess_1');
  assert.equal(front.connections, 2);
  ends.resolve();
  assert.deepEqual((await call).output, { n: 1 });
  await front.end(0);
});
