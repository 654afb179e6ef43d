/** What the user's guide shows in JavaScript, as it reads there; `{}` stands for its `{...}`. */

import assert from 'node:assert/strict';

import {
  Inference,
  SessionEndedError,
  SessionExpiredError,
  SessionGatewayError,
  SessionNotFoundError,
} from '@sessiongateway/client';

import { gatewayForTests } from './support/gateway.js';
import { failureOf, test } from './support/testing.js';

gatewayForTests({ 'my-app@abc123': 'examples/kv' });

async function openSession(sessionTimeout = 60): Promise<string> {
  const client = new Inference({ apiKey: '...' });
  const result = await client.run({ app: 'my-app', session: 'new', session_timeout: sessionTimeout });
  return result.session_id;
}

/** Collects what the shown code would have printed. */
function collector(): { console: { log: (value: unknown) => void }; printed: unknown[] } {
  const printed: unknown[] = [];
  return { printed, console: { log: (value) => printed.push(value) } };
}

test('quick start', async () => {
  const client = new Inference({ apiKey: '...' });

  // Start session
  const result = await client.run({
    app: 'my-app@abc123',
    input: { action: 'init' },
    session: 'new',
  });
  const sessionId = result.session_id;

  // Continue session
  await client.run({
    app: 'my-app@abc123',
    input: { action: 'process' },
    session: sessionId,
  });

  // End session
  await client.sessions.end(sessionId);

  assert.match(sessionId, /^sess_/);
  const info = await client.sessions.get(sessionId);
  assert.deepEqual([info.status, info.callCount], ['ended', 2]);
});

test('session_timeout', async () => {
  const client = new Inference({ apiKey: '...' });
  const result = await client.run({
    app: 'my-app',
    input: {},
    session: 'new',
    session_timeout: 300,
  });
  assert.equal(result.session?.sessionTimeout, 300);
});

test('get session info', async () => {
  const client = new Inference({ apiKey: '...' });
  const sessionId = await openSession();
  const { console, printed } = collector();

  const info = await client.sessions.get(sessionId);
  console.log(info.status); // "active", "ended", or "expired"
  console.log(info.expiresAt); // When session will expire
  console.log(info.callCount); // Number of calls made

  const [status, expiresAt, callCount] = printed;
  assert.deepEqual([status, callCount], ['active', 1]);
  assert.ok(expiresAt instanceof Date);
});

test('list sessions', async () => {
  const client = new Inference({ apiKey: '...' });
  const sessionId = await openSession();
  const { console, printed } = collector();

  const sessions = await client.sessions.list();
  // eslint-disable-next-line @typescript-eslint/no-confusing-void-expression -- as the guide has it
  sessions.forEach((s) => console.log(`${s.id}: ${s.status}`));

  assert.ok(printed.includes(`${sessionId}: active`));
});

test('keep session alive', async () => {
  const client = new Inference({ apiKey: '...' });
  const sessionId = await openSession();
  const before = await client.sessions.get(sessionId);
  const { console, printed } = collector();

  const info = await client.sessions.keepalive(sessionId);
  console.log(info.expiresAt); // Updated expiration

  assert.ok(before.expiresAt && (printed[0] as Date) > before.expiresAt);
});

test('end session', async () => {
  const client = new Inference({ apiKey: '...' });
  const sessionId = await openSession();

  await client.sessions.end(sessionId);

  assert.equal((await client.sessions.get(sessionId)).endReason, 'caller');
});

/** The error handling that is shown: a new session in place of one that is gone, and the error goes on. */
async function continueOrBeginAnew(client: Inference, sessionId: string, opened: string[]): Promise<void> {
  try {
    const result = await client.run({
      app: 'my-app',
      input: {},
      session: sessionId,
    });
    opened.push(result.session_id);
  } catch (error) {
    if (
      error instanceof SessionNotFoundError ||
      error instanceof SessionExpiredError ||
      error instanceof SessionEndedError
    ) {
      // Create new session
      const result = await client.run({ app: 'my-app', input: {}, session: sessionId }, { session: 'new' });
      opened.push(result.session_id);
    }
    throw error;
  }
}

test('error handling', async (t) => {
  const client = new Inference({ apiKey: '...' });
  t.after(() => client.close());
  await using watch = await client.sessions.watch().opened();
  const [ended, expired] = [await openSession(), await openSession(1)];
  await client.sessions.end(ended);
  for await (const { event, session } of watch) {
    if (event === 'expired' && session?.id === expired) {
      break;
    }
  }
  const gone: [string, typeof SessionGatewayError][] = [
    ['sess_unknown', SessionNotFoundError],
    [expired, SessionExpiredError],
    [ended, SessionEndedError],
  ];
  for (const [sessionId, errorClass] of gone) {
    const opened: string[] = [];
    const error = await failureOf(continueOrBeginAnew(client, sessionId, opened));
    assert.equal((error as Error).constructor, errorClass);
    assert.ok(error instanceof SessionGatewayError && error instanceof Error);
    assert.match(opened[0] ?? '', /^sess_/);
    assert.notEqual(opened[0], sessionId);
  }
});
