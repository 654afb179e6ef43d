/** Options that nobody knows: types do not keep plain JavaScript from them, and ignored they would do harm unseen. */

/** The names that an object may have, and whether messages tell them. */
export type Known<Options extends object> = Readonly<Record<keyof Options, boolean>>;

/** Of every request. */
export const CALL = { timeoutMs: true, signal: true } as const;

/**
 * Refuses what is no object, or has names that are not known.
 *
 * @param what The function that takes them.
 * @param options What it was given.
 * @param known What it takes.
 * @param describe Says which those are, where the bare list would mislead.
 * @throws TypeError that names them, the one that may have been meant, and all that are known.
 */
export function checkOptions<Options extends object>(
  what: string,
  options: Options,
  known: Known<Options>,
  describe: (names: string) => string = (names) => `its options are ${names}`,
): void {
  const names = Object.keys(known).filter((name) => known[name as keyof Options]);
  const taken = describe(names.join(', '));
  // Tells plain objects from strings, lists, promises and signals.
  if (Object.prototype.toString.call(options) !== '[object Object]') {
    throw new TypeError(`${what} takes an object here, not ${kind(options)}; ${taken}`);
  }
  const unknown = Object.keys(options).filter((name) => !Object.hasOwn(known, name));
  if (unknown.length > 0) {
    throw new TypeError(`${what} does not know ${unknown.map((name) => quoted(name, names)).join(', ')}; ${taken}`);
  }
}

/** A value itself may be a secret, so only its kind is told. */
function kind(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1).toLowerCase();
}

function quoted(unknown: string, names: readonly string[]): string {
  const near = nearest(unknown, names);
  return `'${unknown}'${near === undefined ? '' : ` (did you mean '${near}'?)`}`;
}

/** Returns the name that differs least, in a third of its letters at most; case and underscores do not count. */
function nearest(unknown: string, names: readonly string[]): string | undefined {
  const plain = (name: string) => name.replaceAll('_', '').toLowerCase();
  let found: { name: string; distance: number } | undefined;
  for (const name of names) {
    const [given, meant] = [plain(unknown), plain(name)];
    const distance = editDistance(given, meant);
    const isNear = given.startsWith(meant.charAt(0)) && distance <= Math.max(given.length, meant.length) / 3;
    if (isNear && distance < (found?.distance ?? Infinity)) {
      found = { name, distance };
    }
  }
  return found?.name;
}

/** How many letters must be put in, left out or replaced. */
function editDistance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const line = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (above[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      line.push(Math.min(replaced, (above[column] ?? 0) + 1, (line[column - 1] ?? 0) + 1));
    }
    above = line;
  }
  return above[to.length] ?? 0;
}
