import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http2';
import type { ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';

import { Connection } from '../src/connection.js';
import { VERSION } from '../src/version.js';
import { deferred, test } from './support/testing.js';

test('a connection that the gateway closes at the moment when it is given up raises no uncaught error', async (t) => {
  const opened = deferred<ServerHttp2Session>();
  const server = createServer((_, response) => response.end());
  server.on('session', opened.resolve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());

  const connection = new Connection(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
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
