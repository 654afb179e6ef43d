/** JSON without loss: integers of any size, and nothing that JSON cannot carry. */

import { types } from 'node:util';

/** What an output may hold. Integers that a number cannot hold exactly are bigints. */
export type JsonValue = string | number | bigint | boolean | null | JsonValue[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  [key: string]: JsonValue;
}

/**
 * Returns a value as JSON text. As with JSON.stringify, `toJSON` is asked and properties that are undefined are left
 * out; unlike there, a bigint is written with all its digits, and what would be changed or lost is refused.
 *
 * @throws TypeError if it holds NaN, an infinity, a cycle, text that is not Unicode, a gap in an array, or what JSON does
 *   not have: functions, Maps, typed arrays, promises, errors ...
 */
export function stringifyJson(value: unknown): string {
  try {
    return write(value, '', new Set());
  } catch (error) {
    // The stack is the only limit of the depth.
    throw error instanceof RangeError ? new TypeError('the value is nested too deeply') : error;
  }
}

function write(value: unknown, key: string, parents: Set<object>): string {
  switch (typeof value) {
    case 'string':
      return writeText(value);
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'number':
      if (!Number.isFinite(value)) {
        throw new TypeError(`${value} cannot be sent as JSON`);
      }
      return JSON.stringify(value);
    case 'object':
      return value === null ? 'null' : writeObject(value, key, parents);
    default:
      throw new TypeError(`a value of type ${typeof value} cannot be sent as JSON`);
  }
}

function writeText(text: string): string {
  if (!text.isWellFormed()) {
    throw new TypeError('text with a lone surrogate is not Unicode and cannot be sent');
  }
  return JSON.stringify(text);
}

function writeObject(value: object, key: string, parents: Set<object>): string {
  if (parents.has(value)) {
    throw new TypeError('a value that contains itself cannot be sent as JSON');
  }
  parents.add(value);
  let text: string;
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    text = write((value.toJSON as (key: string) => unknown)(key), key, parents);
  } else if (Array.isArray(value)) {
    // Not `map`, which would pass over gaps.
    text = `[${Array.from(value, (item, index) => write(item, String(index), parents)).join()}]`;
  } else if (isOpaque(value)) {
    throw new TypeError(`a ${value.constructor.name} cannot be sent as JSON; convert it first`);
  } else {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    text = `{${entries.map(([name, item]) => `${writeText(name)}:${write(item, name, parents)}`).join()}}`;
  }
  parents.delete(value);
  return text;
}

/** Whether JSON.stringify would make an empty, a numbered or another value of it. */
function isOpaque(value: object): boolean {
  return (
    types.isBoxedPrimitive(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isAnyArrayBuffer(value) ||
    ArrayBuffer.isView(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    value instanceof Error ||
    // A promise that was not awaited, or what can be awaited like one.
    ('then' in value && typeof value.then === 'function')
  );
}

/**
 * Reads JSON text. An integer that a number cannot hold exactly becomes a bigint; every other value is what JSON.parse
 * makes of it.
 *
 * @throws SyntaxError if it is not JSON, or a number is too large for a double.
 */
export function parseJson(text: string): JsonValue {
  const value = JSON.parse(text) as JsonValue;
  // Only a run of 16 digits, or an exponent of three, can be more than a number holds.
  if (!/\d{16}|\d[eE]\+?\d{3}/.test(text)) {
    return value;
  }
  return new ExactReader(text).value();
}

/** Reads text that JSON.parse has accepted, so it need not check anything but numbers. */
class ExactReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): JsonValue {
    switch (this.#next()) {
      case '{':
        return this.#object();
      case '[':
        return this.#array();
      case '"':
        return this.#string();
      case 't':
        this.#at += 4;
        return true;
      case 'f':
        this.#at += 5;
        return false;
      case 'n':
        this.#at += 4;
        return null;
      default:
        return this.#number();
    }
  }

  #next(): string {
    while (' \t\r\n'.includes(this.#text.charAt(this.#at))) {
      this.#at += 1;
    }
    return this.#text.charAt(this.#at);
  }

  #object(): JsonObject {
    const found: JsonObject = {};
    this.#at += 1;
    while (this.#next() !== '}') {
      if (this.#next() === ',') {
        this.#at += 1;
        this.#next();
      }
      const name = this.#string();
      this.#next();
      this.#at += 1;
      // Plain assignment to "__proto__" would set the prototype.
      Object.defineProperty(found, name, { value: this.value(), writable: true, enumerable: true, configurable: true });
    }
    this.#at += 1;
    return found;
  }

  #array(): JsonValue[] {
    const found: JsonValue[] = [];
    this.#at += 1;
    while (this.#next() !== ']') {
      if (this.#next() === ',') {
        this.#at += 1;
      }
      found.push(this.value());
    }
    this.#at += 1;
    return found;
  }

  #string(): string {
    const start = this.#at;
    let end = this.#text.indexOf('"', start + 1);
    while (this.#isEscaped(end)) {
      end = this.#text.indexOf('"', end + 1);
    }
    this.#at = end + 1;
    return JSON.parse(this.#text.slice(start, this.#at)) as string;
  }

  #isEscaped(quote: number): boolean {
    let backslashes = 0;
    while (this.#text.charAt(quote - 1 - backslashes) === '\\') {
      backslashes += 1;
    }
    return backslashes % 2 === 1;
  }

  #number(): number | bigint {
    const pattern = /[-+.eE\d]+/y;
    pattern.lastIndex = this.#at;
    const digits = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += digits.length;
    const value = Number(digits);
    if (/^-?\d+$/.test(digits)) {
      return Number.isSafeInteger(value) ? value : BigInt(digits);
    }
    if (!Number.isFinite(value)) {
      throw new SyntaxError(`${digits} is too large for a number`);
    }
    return value;
  }
}
