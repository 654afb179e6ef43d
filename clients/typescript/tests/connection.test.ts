import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http2';
import type { ServerHttp2Session } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

import { Inference } from '../src/client.js';
import { Connection } from '../src/connection.js';
import type { SessionGatewayError } from '../src/errors.js';
import { DEFAULT_PACING } from '../src/pacing.js';
import { VERSION } from '../src/version.js';
import { deferred, failureOf, test } from './support/testing.js';

test('a connection that the gateway closes at the moment when it is given up raises no uncaught error', async (t) => {
  const opened = deferred<ServerHttp2Session>();
  const server = createServer((_, response) => response.end());
  server.on('session', opened.resolve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());

  const connection = new Connection(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {}, DEFAULT_PACING);
  const stream = await connection.request('POST', '/', {}, {});
  const { session } = stream;
  assert.ok(session);
  const answered = deferred();
  stream.on('close', answered.resolve);
  stream.resume().end();
  await answered.promise;

  // The manager's own listener comes first, and destroys the connection with an error.
  session.on('goaway', () => {
    connection.abort();
  });
  const closed = deferred();
  session.on('close', closed.resolve);
  (await opened.promise).goaway();
  await closed.promise;
});

test('the version that gateways are told is that of the package', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  assert.equal(VERSION, version);
});

test('details that cannot be read do not hide the status, in trailers and without an answer', async (t) => {
  const garbage = Buffer.from([0xff]).toString('base64');
  const withoutCode = Buffer.from([0x12, 0x01, 0x78]).toString('base64');
  const status = (details: string) => ({
    'grpc-status': '10',
    'grpc-message': 'kept',
    'grpc-status-details-bin': details,
  });
  const server = createServer();
  server.on('stream', (stream, { ':path': path }) => {
    const content = { ':status': 200, 'content-type': 'application/grpc+proto' };
    if (path?.endsWith('/GetSession')) {
      stream.respond({ ...content, ...status(garbage) }, { endStream: true });
    } else {
      stream.respond(content, { waitForTrailers: true });
      stream.on('wantTrailers', () => {
        stream.sendTrailers(status(path?.endsWith('/Run') ? garbage : withoutCode));
      });
      stream.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new Inference({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
  t.after(async () => {
    await client.close();
    server.close();
  });
  const requests = [client.sessions.get('x'), client.run({ app: 'kv' }), client.sessions.end('x')];
  for (const failure of (await Promise.all(requests.map(failureOf))) as SessionGatewayError[]) {
    assert.deepEqual([failure.code, failure.message], ['ABORTED', 'kept']);
  }
});

test('a host that takes connections and says nothing is UNAVAILABLE after a while, encrypted or not', async (t) => {
  const server = createTcpServer();
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const pacing = { connectTimeout: 50, repeatAttempts: 1 };
  const plain = new Inference({ address, pacing });
  const encrypted = new Inference({ address, pacing, tls: {} });
  t.after(async () => {
    await Promise.all([plain.close(), encrypted.close()]);
    for (const socket of sockets) {
      socket.destroy();
    }
    server.close();
  });
  const failures = await Promise.all(
    [plain, encrypted].flatMap((client) => [failureOf(client.run({ app: 'kv' })), failureOf(client.sessions.get('x'))]),
  );
  assert.deepEqual(
    (failures as SessionGatewayError[]).map(({ code, runState }) => [code, runState]),
    [
      ['UNAVAILABLE', 'unknown'],
      ['UNAVAILABLE', undefined],
      ['UNAVAILABLE', 'not_started'],
      ['UNAVAILABLE', undefined],
    ],
  );
});
