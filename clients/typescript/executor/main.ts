/** The conformance executor: one JSON command a line on standard input, one JSON answer a line on standard output. */

import { createInterface } from 'node:readline';

import { closeAll, OPERATIONS } from './operations.js';
import type { Command } from './operations.js';
import { renderRawError } from './raw.js';
import { renderError } from './render.js';

const pending = new Map<number, AbortController>();

function answer(id: unknown, content: object): void {
  process.stdout.write(`${JSON.stringify({ id: id ?? null, ...content })}\n`);
}

async function execute(command: Command): Promise<void> {
  const { id, op } = command;
  if (op === 'cancel') {
    pending.get(command.target as number)?.abort();
    answer(id, { ok: {} });
    return;
  }
  const operation = Object.hasOwn(OPERATIONS, op) ? OPERATIONS[op] : undefined;
  if (operation === undefined) {
    answer(id, { error: { code: 'UNSUPPORTED_COMMAND' } });
    return;
  }
  const controller = new AbortController();
  pending.set(id, controller);
  try {
    answer(id, { ok: await operation(command, controller.signal) });
  } catch (error) {
    answer(id, { error: op === 'raw_run' ? renderRawError(error) : renderError(error) });
  } finally {
    pending.delete(id);
  }
}

function parse(line: string): Command | undefined {
  try {
    const command = JSON.parse(line) as unknown;
    return typeof command === 'object' && command !== null ? (command as Command) : undefined;
  } catch {
    return undefined;
  }
}

createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on('line', (line) => {
    const command = parse(line);
    if (typeof command?.id === 'number' && typeof command.op === 'string') {
      void execute(command);
    } else {
      answer(command?.id, { error: { code: 'UNSUPPORTED_COMMAND' } });
    }
  })
  .on('close', () => {
    void closeAll().then(() => {
      process.stdout.end(() => {
        process.exit(0);
      });
    });
  });
