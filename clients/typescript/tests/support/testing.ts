/** What every test needs. */

import { test as nodeTest } from 'node:test';
import type { TestContext } from 'node:test';

const LIMIT = 60_000;

/** A test that fails after a minute. */
export function test(name: string, body: (context: TestContext) => void | Promise<void>): void {
  // The runner reports the result; its promise is for nobody else.
  void nodeTest(name, { timeout: LIMIT }, body);
}

/** A promise with its ends in hand. */
export function deferred<Value = void>(): {
  promise: Promise<Value>;
  resolve: (value: Value) => void;
  reject: (reason: unknown) => void;
} {
  let resolve: (value: Value) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Returns what a promise rejects with. */
export async function failureOf(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}
