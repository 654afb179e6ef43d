import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';

import { gatewayForTests } from './support/gateway.js';
import { test } from './support/testing.js';

gatewayForTests({ kv: 'examples/kv', interpreter: 'examples/interpreter', sql: 'examples/sql' });

async function outputOf(t: TestContext, path: string): Promise<string> {
  const program = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => program.kill());
  const exit = once(program, 'exit');
  const output = await text(program.stdout);
  assert.deepEqual(await exit, [0, null]);
  return output;
}

test('the example does what it says', async (t) => {
  const output = await outputOf(t, 'examples/notebook.mjs');
  assert.match(output, /the cell says 285/);
  assert.match(output, /calls so far: 2/);
  assert.match(output, /rows in all: \d+/);
  assert.match(output, /InvalidInputError INVALID_INPUT not_started/);
});

test('the programs of the README run as they are printed', async (t) => {
  const programs = [...readFileSync('README.md', 'utf8').matchAll(/^```js\n(.*?)^```$/gms)].map(
    (found) => found[1] ?? '',
  );
  const outputs: string[] = [];
  for (const [index, program] of programs.entries()) {
    // In this package, so that its name leads to what was built.
    const path = `dist/local/readme-${index}.mjs`;
    writeFileSync(path, program);
    outputs.push(await outputOf(t, path));
  }
  assert.equal(outputs.length, 2);
  assert.match(outputs[0] ?? '', /^a is 1\nopened sess_.*\nit lives until .*\nsess_\S+ kv 1\nwithout a session: /s);
  assert.match(outputs[1] ?? '', /code: 'SESSION_NOT_FOUND'.*\n.*its state is gone/s);
});
