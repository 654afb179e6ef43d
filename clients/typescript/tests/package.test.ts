/** The package as its users get it: packed, installed, imported in both ways, and type-checked. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before } from 'node:test';

import { test } from './support/testing.js';

const directory = mkdtempSync(join(tmpdir(), 'sgw-package-'));

function command(name: string, ...given: string[]): string {
  return execFileSync(name, given, { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function write(name: string, text: string): void {
  writeFileSync(join(directory, name), text);
}

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}
let files: string[];

before(() => {
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const [packed] = JSON.parse(command('npm', 'pack', resolve('.'), '--json', ...quiet)) as Packed[];
  assert.ok(packed);
  files = packed.files.map(({ path }) => path);
  write('package.json', '{ "private": true }');
  command('npm', 'install', '--prefer-offline', ...quiet, `./${packed.filename}`);
});
after(() => {
  rmSync(directory, { recursive: true });
});

test('it is imported by both kinds of modules, which get the same classes', () => {
  write(
    'both.mjs',
    `import * as imported from '@sessiongateway/client';
     import * as importedStubs from '@sessiongateway/client/stubs';
     import { createRequire } from 'node:module';
     const require = createRequire(import.meta.url);
     const required = require('@sessiongateway/client');
     const names = Object.keys(required);
     if (names.some((name) => imported[name] !== required[name])) throw new Error('they differ');
     if (importedStubs.SessionService !== require('@sessiongateway/client/stubs').SessionService) throw new Error('stubs');
     new imported.Inference({ apiKey: '...' });
     console.log(names.length);`,
  );
  assert.ok(Number(command(process.execPath, 'both.mjs')) > 30);
  write('only.cjs', "const { Inference } = require('@sessiongateway/client'); new Inference();");
  command(process.execPath, 'only.cjs');
});

test('it has its license and README, the license being that of the project', () => {
  assert.ok(files.includes('LICENSE') && files.includes('README.md'));
  assert.equal(readFileSync('LICENSE', 'utf8'), readFileSync('../../LICENSE', 'utf8'));
});

test('it ships types for both, which hold under strict rules', () => {
  const program = `
    import { Inference, SessionExpiredError } from '@sessiongateway/client';
    import type { RunResult, SessionInfo, SessionStatusName } from '@sessiongateway/client';
    import { SessionService } from '@sessiongateway/client/stubs';
    export async function main(): Promise<void> {
      const client = new Inference({ apiKey: '...', timeoutMs: 1000 });
      const result: RunResult<{ n: bigint }> = await client.run<{ n: bigint }>({ app: 'kv', session: 'new' });
      const n: bigint = result.output.n;
      const sessions: SessionInfo[] = await client.sessions.list();
      sessions.forEach((info) => info.expiresAt?.getTime());
      for await (const info of client.sessions.list({ status: 'active' })) info.callCount + Number(n);
      await using session = client.session('kv', { keepalive: true });
      for await (const part of session.stream('rows', { sql: '' })) part['rows'];
      const status: SessionStatusName | undefined = sessions[0]?.status;
      // @ts-expect-error: no status
      sessions[0]?.status === 'actve';
      // @ts-expect-error: no status to list by
      client.sessions.list({ status: 'actve' });
      status;
      const error: unknown = SessionExpiredError;
      // @ts-expect-error: a field that there is not
      await client.run({ app: 'kv', sesion: 'new' });
      SessionService.typeName; error;
    }`;
  write('consumer.mts', program);
  write('consumer.cts', program);
  const rules = [
    '--strict',
    '--noEmit',
    '--target',
    'es2022',
    '--lib',
    'es2023,esnext.disposable',
    '--module',
    'nodenext',
  ];
  const types = ['--types', 'node', '--typeRoots', resolve('node_modules/@types')];
  const programs = ['consumer.mts', 'consumer.cts'];
  try {
    command(resolve('node_modules/.bin/tsc'), ...rules, ...types, ...programs);
  } catch (error) {
    assert.fail((error as { stdout: string }).stdout);
  }
});
