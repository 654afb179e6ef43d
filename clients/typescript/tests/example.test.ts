import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

import { gatewayForTests } from './support/gateway.js';
import { test } from './support/testing.js';

gatewayForTests({ kv: 'examples/kv', interpreter: 'examples/interpreter', sql: 'examples/sql' });

test('the example does what it says', async (t) => {
  const program = spawn(process.execPath, ['examples/notebook.mjs'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => program.kill());
  const output = await text(program.stdout);
  assert.match(output, /the cell says 285/);
  assert.match(output, /calls so far: 2/);
  assert.match(output, /rows in all: \d+/);
  assert.match(output, /InvalidInputError INVALID_INPUT not_started/);
});
