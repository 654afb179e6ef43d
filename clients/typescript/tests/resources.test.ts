import assert from 'node:assert/strict';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';

import { Inference } from '../src/client.js';
import type { SessionGatewayError } from '../src/errors.js';
import { EndReason } from '../src/gen/sessiongateway/v1/errors_pb.js';
import { SessionStatus } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import type { ListSessionsRequest } from '../src/gen/sessiongateway/v1/sessions_pb.js';
import type { ListSessionsOptions } from '../src/resources.js';
import { activeSession, ScriptedGateway } from './support/scripted.js';
import { failureOf, test } from './support/testing.js';

/** Three pages, the middle one empty. */
function pages() {
  const requests: ListSessionsRequest[] = [];
  const listSessions = (request: ListSessionsRequest) => {
    requests.push(request);
    const { pageToken } = request;
    return {
      sessions: pageToken === 'b' ? [] : [activeSession(`${pageToken}1`), activeSession(`${pageToken}2`)],
      nextPageToken: { '': 'b', b: 'c' }[pageToken] ?? '',
    };
  };
  return { requests, listSessions };
}

test('a list that is awaited is an array of all pages', async (t) => {
  const { requests, listSessions } = pages();
  const client = (await ScriptedGateway.start(t, { listSessions })).client(t);
  const sessions = await client.sessions.list({ status: 'ended', app: 'kv', pageSize: 2 });
  assert.deepEqual(
    sessions.map(({ id }) => id),
    ['1', '2', 'c1', 'c2'],
  );
  assert.deepEqual(
    requests.map(({ pageToken }) => pageToken),
    ['', 'b', 'c'],
  );
  const { status, app, pageSize } = requests[2] ?? {};
  assert.deepEqual([status, app, pageSize], [SessionStatus.ENDED, 'kv', 2]);
});

test('a list that is iterated over fetches a page when its first item is asked for', async (t) => {
  const { requests, listSessions } = pages();
  const client = (await ScriptedGateway.start(t, { listSessions })).client(t);
  const seen: string[] = [];
  for await (const { id } of client.sessions.list()) {
    seen.push(id);
    if (id === '2') {
      assert.equal(requests.length, 1);
    }
    if (id === 'c1') {
      break;
    }
  }
  assert.deepEqual(seen, ['1', '2', 'c1']);
});

test('there are no other statuses', async (t) => {
  const client = (await ScriptedGateway.start(t, {})).client(t);
  for (const status of ['gone', 'toString']) {
    const options = { status } as unknown as ListSessionsOptions;
    assert.throws(() => client.sessions.list(options), /TypeError.*active, ended, expired/);
  }
});

test('arguments of the wrong type are refused before anything is sent', async (t) => {
  const client = (await ScriptedGateway.start(t, {})).client(t);
  for (const pageSize of [1.5, NaN, 2 ** 31, '5']) {
    assert.throws(() => client.sessions.list({ pageSize: pageSize as number }), TypeError);
    assert.throws(() => client.apps.list({ pageSize: pageSize as number }), TypeError);
  }
  for (const text of [1, {}, '\ud800'] as string[]) {
    assert.throws(() => client.sessions.list({ app: text }), TypeError);
    assert.throws(() => client.sessions.watch({ app: text }), TypeError);
    assert.throws(() => client.sessions.watch({ resumeToken: text }), TypeError);
  }
  for (const text of [undefined, null, 1, '\ud800'] as string[]) {
    const { sessions, apps } = client;
    for (const request of [sessions.get(text), sessions.keepalive(text), sessions.end(text), apps.get(text)]) {
      assert.ok((await failureOf(request)) instanceof TypeError);
    }
  }
});

test('an answer that cannot be read is an error of its own, and is not asked for again', async (t) => {
  let sent = 0;
  const server = createServer();
  server.on('stream', (stream) => {
    sent += 1;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => {
      stream.sendTrailers({ 'grpc-status': '0' });
    });
    stream.end(Buffer.from([0, 0, 0, 0, 2, 0x0a, 0xff]));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new Inference({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
  t.after(async () => {
    await client.close();
    server.close();
  });
  const get = (await failureOf(client.sessions.get('x'))) as SessionGatewayError;
  assert.deepEqual([get.code, get.runState, sent], ['INVALID_RESPONSE', undefined, 1]);
  const run = (await failureOf(client.run({ app: 'kv' }))) as SessionGatewayError;
  assert.deepEqual([run.code, run.runState], ['INVALID_RESPONSE', 'unknown']);
});

test('a session is decoded with all its fields', async (t) => {
  const session = activeSession('sess_1', {
    status: SessionStatus.ENDED,
    endReason: EndReason.WORKER_LOST,
    workerId: 'wrk_1',
    createdAt: { seconds: 1n },
    expiresAt: { seconds: 2n, nanos: 999_999_999 },
    expiresIn: { seconds: 3n, nanos: 500_000 },
    lastCallAt: { seconds: 4n },
    endedAt: { seconds: 5n },
    callCount: 6n,
    workerExit: { how: { case: 'signal', value: 9 } },
  });
  const client = (await ScriptedGateway.start(t, { getSession: () => ({ session }) })).client(t);
  assert.deepEqual(await client.sessions.get('sess_1'), {
    id: 'sess_1',
    app: 'kv',
    version: 'v1',
    status: 'ended',
    endReason: 'worker_lost',
    workerId: 'wrk_1',
    sessionTimeout: 60,
    createdAt: new Date(1000),
    expiresAt: new Date(2999),
    expiresInMs: 3000.5,
    lastCallAt: new Date(4000),
    endedAt: new Date(5000),
    callCount: 6,
    workerExit: { signal: 9 },
  });
});

test('words of a newer gateway are told by their number, and its new fields do no harm', async (t) => {
  const session = activeSession('sess_1', { status: 42 as SessionStatus, endReason: 43 as EndReason, workerExit: {} });
  session.$unknown = [{ no: 999, wireType: 2, data: new Uint8Array([1, 0]) }];
  const client = (await ScriptedGateway.start(t, { keepalive: () => ({ session }) })).client(t);
  const info = await client.sessions.keepalive('sess_1');
  assert.deepEqual([info.status, info.endReason, info.workerExit], ['unknown_42', 'unknown_43', {}]);
});

test('an answer without what was asked for is an error', async (t) => {
  const client = (await ScriptedGateway.start(t, { getSession: () => ({}) }, { apps: { getApp: () => ({}) } })).client(
    t,
  );
  for (const failure of [await failureOf(client.sessions.get('x')), await failureOf(client.apps.get('x'))]) {
    assert.equal((failure as SessionGatewayError).code, 'INVALID_RESPONSE');
  }
});

test('apps are listed over all pages, and described with their functions and schemas', async (t) => {
  const app = {
    name: 'kv',
    version: 'v1',
    currentVersion: 'v2',
    versions: ['v2', 'v1'],
    defaultFunction: 'run',
    functions: [{ name: 'run', description: 'Runs.', inputSchema: '{"maximum":12345678901234567890}', streams: true }],
    concurrency: 1,
    idleWorkerIds: ['wrk_1'],
  };
  const apps = {
    getApp: () => ({ app }),
    listApps: ({ pageToken }: { pageToken: string }) => ({
      apps: [{ name: `app${pageToken}` }],
      nextPageToken: pageToken ? '' : '2',
    }),
  };
  const client = (await ScriptedGateway.start(t, {}, { apps })).client(t);
  assert.deepEqual(
    (await client.apps.list({ pageSize: 1 })).map(({ name }) => name),
    ['app', 'app2'],
  );
  const functions = [
    {
      name: 'run',
      description: 'Runs.',
      inputSchema: { maximum: 12345678901234567890n },
      outputSchema: {},
      streams: true,
      partialSchema: {},
    },
  ];
  assert.deepEqual(await client.apps.get('kv@v1'), { ...app, functions });
});
