import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';

import { UnavailableError } from '../src/errors.js';
import { ScriptedGateway } from './support/scripted.js';
import { failureOf, test } from './support/testing.js';

const directory = mkdtempSync(join(tmpdir(), 'sgw-tls-'));
const file = (name: string) => join(directory, name);
const pem = (name: string) => readFileSync(file(name));
const openssl = (...given: string[]) => execFileSync('openssl', given, { stdio: ['ignore', 'ignore', 'pipe'] });

/** Makes NAME.key and NAME.pem, signed by the authority. */
function certify(name: string): void {
  const names = 'subjectAltName=IP:127.0.0.1,DNS:localhost';
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file(`${name}.key`)];
  openssl('req', '-new', ...key, '-subj', `/CN=${name}`, '-out', file(`${name}.csr`));
  writeFileSync(file('names'), names);
  const signer = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', file('names')];
  openssl('x509', '-req', '-in', file(`${name}.csr`), ...signer, '-days', '1', '-out', file(`${name}.pem`));
}

before(() => {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('ca.key')];
  openssl('req', '-x509', ...key, '-subj', '/CN=authority', '-days', '1', '-out', file('ca.pem'));
  certify('server');
  certify('client');
});
after(() => {
  rmSync(directory, { recursive: true });
});

const run = () => ({ callId: 'call_1' });

test('an encrypted connection is made to a gateway whose authority is trusted, and to no other', async (t) => {
  const gateway = await ScriptedGateway.start(t, { run }, { tls: { key: pem('server.key'), cert: pem('server.pem') } });
  const trusting = gateway.client(t, { tls: { ca: pem('ca.pem') }, apiKey: 'secret' });
  assert.equal((await trusting.run({ app: 'kv' })).call_id, 'call_1');
  const stranger = await failureOf(gateway.client(t, { tls: {} }).run({ app: 'kv' }));
  assert.ok(stranger instanceof UnavailableError);
  assert.equal(stranger.runState, 'not_started');
  assert.ok((await failureOf(gateway.client(t).run({ app: 'kv' }, { timeoutMs: 5000 }))) instanceof UnavailableError);
});

test('a gateway that asks for a certificate gets the one that was given', async (t) => {
  const tls = {
    key: pem('server.key'),
    cert: pem('server.pem'),
    ca: pem('ca.pem'),
    requestCert: true,
    rejectUnauthorized: true,
  };
  const gateway = await ScriptedGateway.start(t, { run }, { tls });
  const ca = pem('ca.pem').toString();
  const known = gateway.client(t, { tls: { ca, cert: pem('client.pem'), key: pem('client.key') } });
  assert.equal((await known.run({ app: 'kv' })).call_id, 'call_1');
  assert.ok((await failureOf(gateway.client(t, { tls: { ca } }).run({ app: 'kv' }))) instanceof UnavailableError);
});
