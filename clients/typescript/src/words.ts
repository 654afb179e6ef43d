/** Numbers of the protocol as words, and its times as numbers. */

import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt';

/** Returns the lower-case name of an enum's value; "unknown_N" for one that only a newer gateway knows. */
export function enumWord(names: Readonly<Record<number, string>>, value: number): string {
  return names[value]?.toLowerCase() ?? `unknown_${value}`;
}

/** The same, but undefined for UNSPECIFIED. */
export function optionalWord(names: Readonly<Record<number, string>>, value: number): string | undefined {
  return value === 0 ? undefined : enumWord(names, value);
}

/** Returns a duration in milliseconds. */
export function milliseconds(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

/** Returns a moment, cut to the millisecond. */
export function moment(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp && new Date(Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1e6));
}
