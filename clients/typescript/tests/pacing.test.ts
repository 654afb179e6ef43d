import assert from 'node:assert/strict';

import { Alarm, backoffDelay, Deadline, DEFAULT_PACING, systemClock } from '../src/pacing.js';
import { FakeClock } from './support/clock.js';
import { test } from './support/testing.js';

test('pauses double from half of the first one or more, up to the maximum, however long it goes on', () => {
  const backoff = { initial: 100, maximum: 2000 };
  assert.deepEqual(
    [0, 1, 2, 9].map((attempt) => backoffDelay(backoff, attempt, 0)),
    [50, 100, 200, 1000],
  );
  assert.deepEqual(
    [0, 1, 2, 9].map((attempt) => backoffDelay(backoff, attempt, 1)),
    [100, 200, 400, 2000],
  );
  assert.equal(backoffDelay(backoff, 1e6, 1), 2000);
});

test('a deadline counts down, also below zero, and none never ends', () => {
  const clock = new FakeClock();
  const deadline = new Deadline(clock, 100);
  clock.advance(130);
  assert.equal(deadline.remaining(), -30);
  assert.equal(new Deadline(clock, undefined).remaining(), undefined);
});

test('a time that gRPC cannot express is refused', () => {
  for (const timeoutMs of [-1, NaN, Infinity, 1e8]) {
    assert.throws(() => new Deadline(systemClock, timeoutMs), RangeError);
  }
});

test('an alarm wakes a sleeper, and one that rang before is not missed', async () => {
  const clock = new FakeClock();
  const alarm = new Alarm();
  const sleep = alarm.sleep(clock, 1000);
  alarm.ring();
  await sleep;
  alarm.ring();
  await alarm.sleep(clock, 1000);
  const last = alarm.sleep(clock, 1000);
  await clock.pass(1000);
  await last;
});

test('the real clock sleeps for longer than a timer can be set, until it is told to stop', async () => {
  const controller = new AbortController();
  const sleep = systemClock.sleep(Infinity, controller.signal);
  setImmediate(() => {
    controller.abort();
  });
  await sleep;
  await systemClock.sleep(1000, controller.signal);
});

test('streams are opened again well within the usual session timeout', () => {
  assert.ok(DEFAULT_PACING.reconnect.maximum + DEFAULT_PACING.replyTimeout < 60_000 / 3);
});
