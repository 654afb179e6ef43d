/** Numbers of the protocol as words, and its times as numbers. */

import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt';

/** The words of an enum but UNSPECIFIED, and those that are made for values that only a newer gateway knows. */
export type Word<Names> = Exclude<Lowercase<keyof Names & string>, 'unspecified'> | `unknown_${number}`;

/** Returns the lower-case name of an enum's value; "unknown_N" for UNSPECIFIED, and for what only a newer gateway knows. */
export function enumWord<Names extends object>(names: Names, value: number): Word<Names> {
  return optionalWord(names, value) ?? `unknown_${value}`;
}

/** The same, but undefined for UNSPECIFIED. */
export function optionalWord<Names extends object>(names: Names, value: number): Word<Names> | undefined {
  if (value === 0) {
    return undefined;
  }
  const name = (names as Readonly<Record<number, string>>)[value];
  return name === undefined ? `unknown_${value}` : (name.toLowerCase() as Word<Names>);
}

/** Returns a duration in milliseconds. */
export function milliseconds(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

/** Returns a moment, cut to the millisecond. */
export function moment(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp && new Date(Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1e6));
}
