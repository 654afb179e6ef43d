/** Several gateways behind one address. Each has records of its own, so that its sessions tell which calls came to it. */

import assert from 'node:assert/strict';
import { after, before } from 'node:test';

import { Inference } from '../src/client.js';
import { UnavailableError } from '../src/errors.js';
import { readAddress } from '../src/route.js';
import { Gateway } from './support/gateway.js';
import { test } from './support/testing.js';

const gateways = [0, 1, 2].map(() => new Gateway({ kv: 'examples/kv' }));

before(() => Promise.all(gateways.map((each) => each.start())));
after(() => Promise.all(gateways.map((each) => each.remove())));

test('calls go round among them, go on when one dies, and find it when it is back', async (t) => {
  const connected = (address: string) => {
    const made = new Inference({ address, apiKey: '', timeoutMs: 30_000 });
    t.after(() => made.close());
    return made;
  };
  const single = gateways.map((each) => connected(each.address));
  const client = connected(`ipv4:${gateways.map((each) => each.address).join(',')}`);
  const open = () => client.run({ app: 'kv', function: 'keys', session: 'new' });
  const opened = () =>
    Promise.all(
      single.map(async (each) => {
        let count = 0;
        for await (const session of each.sessions.list()) {
          assert.equal(session.app, 'kv');
          count += 1;
        }
        return count;
      }),
    );

  while (Math.min(...(await opened())) === 0) {
    await open();
  }
  const before = await opened();
  for (let call = 0; call < 9; call += 1) {
    await open();
  }
  assert.deepEqual(
    await opened(),
    before.map((count) => count + 3),
  );

  const [, victim] = gateways;
  await victim?.end('SIGKILL');
  let cut = 0;
  for (let call = 0; call < 12; call += 1) {
    assert.equal((await client.apps.get('kv')).name, 'kv');
    await open().catch((reason: unknown) => {
      assert.ok(reason instanceof UnavailableError);
      cut += 1;
    });
  }
  assert.ok(cut <= 1, `${cut} calls failed, where one can have been on its way to the gateway that died`);

  await victim?.start();
  const first = (await opened())[1];
  while ((await opened())[1] === first) {
    await open();
  }
});

test('a name is looked up, and each of its addresses keeps the name for its certificate', async () => {
  const { first, find } = readAddress('dns:///localhost:50151');
  assert.deepEqual(first, { authority: 'localhost:50151' });
  const found = (await find?.()) ?? [];
  assert.ok(found.length > 0);
  for (const { authority, ip } of found) {
    assert.equal(authority, 'localhost:50151');
    assert.ok(ip === '127.0.0.1' || ip === '::1');
  }
});

test('a plain HOST:PORT is one gateway, and what leads nowhere is refused', () => {
  for (const address of ['gateway:1', 'dns:1', '[::1]:50151']) {
    assert.deepEqual(readAddress(address), { first: { authority: address } });
  }
  for (const address of ['', 'gateway', 'dns:///gateway', 'ipv4:127.0.0.1', 'ipv4:127.0.0.1:1,', 'ipv4:']) {
    assert.throws(() => readAddress(address), /must be HOST:PORT/, address);
  }
  for (const address of ['http://gateway:1', 'dns:///http://gateway:1', 'dns://nameserver/gateway:1']) {
    assert.throws(() => readAddress(address), TypeError, address);
  }
});
