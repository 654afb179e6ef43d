import assert from 'node:assert/strict';

import { parseJson, stringifyJson } from '../src/json.js';
import { test } from './support/testing.js';

test('an integer that a number cannot hold exactly is a bigint, every other number is a number', () => {
  const text = '[9007199254740991,9007199254740992,-9007199254740993,12345678901234567890123,1.5,1e3,0,-1,1e300]';
  const expected = [2 ** 53 - 1, 2n ** 53n, -(2n ** 53n) - 1n, 12345678901234567890123n, 1.5, 1000, 0, -1, 1e300];
  assert.deepEqual(parseJson(text), expected);
});

test('what was read with its large integers is written as it was', () => {
  const text =
    '{"a":[12345678901234567890,{"b\\"\\\\":-12345678901234567890}],"c":"é😀","d":[],"e":{},"f":[true,false,null]}';
  assert.equal(stringifyJson(parseJson(text)), text);
});

test('large integers are found between any blanks, and not inside of text', () => {
  const text = ' { "a" : [ 1 , "12345678901234567890\\\\" , 12345678901234567890 ] , "b" : { } } ';
  assert.deepEqual(parseJson(text), { a: [1, '12345678901234567890\\', 12345678901234567890n], b: {} });
});

test('a property named __proto__ is a property', () => {
  const value = parseJson('{"__proto__":{"x":12345678901234567890}}') as object;
  assert.deepEqual(Object.keys(value), ['__proto__']);
  assert.equal((value as { x?: unknown }).x, undefined);
});

test('a number that is too large for a double is refused rather than made an infinity', () => {
  assert.throws(() => parseJson('[1e400]'), SyntaxError);
});

test('text that is not JSON is refused, also when it holds large integers', () => {
  assert.throws(() => parseJson('[12345678901234567890,]'), SyntaxError);
});

test('what is written is what JSON.stringify writes, with bigints as digits', () => {
  const value = { a: [1, 'x', null, true, { b: undefined, c: new Date(0) }], d: 0.1, é: '\u2028"' };
  assert.equal(stringifyJson(value), JSON.stringify(value));
  assert.equal(stringifyJson({ big: 2n ** 64n }), '{"big":18446744073709551616}');
});

test('what JSON would change or lose is refused', () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const refused = [NaN, Infinity, '\ud800', { '\udc00': 1 }, [undefined], () => 1, Symbol('x'), new Map(), new Set()];
  const opaque = [new Uint8Array(1), new ArrayBuffer(1), new WeakMap(), /x/, new Error('x'), new DOMException('x')];
  const thenable = { then: () => undefined };
  const boxed = [new Number(5), new String('x'), new Boolean(true), Object(1n)] as unknown[];
  // eslint-disable-next-line no-sparse-arrays -- it is what is to be refused
  for (const value of [...refused, ...opaque, ...boxed, cycle, Promise.resolve(1), thenable, [1, , 2]]) {
    assert.throws(() => stringifyJson({ value }), TypeError);
  }
});

test('the same object may stand in two places', () => {
  const shared = { x: 1 };
  assert.equal(stringifyJson([shared, shared]), '[{"x":1},{"x":1}]');
});

test('an object that is nested too deeply to be written is refused', () => {
  let value: unknown = {};
  for (let depth = 0; depth < 100_000; depth += 1) {
    value = [value];
  }
  assert.throws(() => stringifyJson(value), TypeError);
});
