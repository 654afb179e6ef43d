/** The connections to all gateways that an address stands for. */

import { lookup } from 'node:dns/promises';

import { SessionGatewayError } from './errors.js';
import type { RunState } from './errors.js';
import type { Flight } from './flight.js';
import type { Line } from './line.js';
import { backoffDelay } from './pacing.js';
import type { Deadline, Pacing } from './pacing.js';

/** Where a gateway is: what requests name as their host, and where to connect if that is not found by the name. */
export interface Place {
  readonly authority: string;
  readonly ip?: string;
}

/** An address that was read. */
export interface Target {
  /** Where to connect to begin with. */
  readonly first: Place;
  /** Finds all gateways behind it, if there may be several. */
  readonly find?: () => Promise<readonly Place[]>;
}

const AUTHORITY = /^(\[[^\]]+\]|[^:/?#@\s]+):\d{1,5}$/;

/**
 * Reads HOST:PORT, one gateway; or dns:///HOST:PORT, ipv4:ADDRESS:PORT,ADDRESS:PORT or ipv6:[ADDRESS]:PORT, which may
 * stand for several.
 *
 * @throws TypeError if it is none of these.
 */
export function readAddress(address: string): Target {
  const [, scheme, rest = address] = /^(dns:(?:\/\/\/)?|ipv[46]:)(?!\d+$)(.*)$/.exec(address) ?? [];
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(rest)) {
    throw new TypeError(`the address of a gateway is HOST:PORT, not a URL: '${address}'`);
  }
  const places = scheme?.startsWith('ip') ? rest.split(',').map(place) : [place(rest)];
  const [first] = places;
  if (first === undefined || places.includes(undefined)) {
    throw new TypeError(`the address of the gateway must be HOST:PORT, not '${address}'`);
  }
  if (scheme === undefined) {
    return { first };
  }
  const all = places.filter((each) => each !== undefined);
  return { first, find: scheme.startsWith('dns') ? () => resolve(first) : () => Promise.resolve(all) };
}

function place(authority: string): Place | undefined {
  return AUTHORITY.test(authority) && URL.canParse(`http://${authority}`) ? { authority } : undefined;
}

async function resolve({ authority }: Place): Promise<readonly Place[]> {
  const host = authority.slice(0, authority.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => ({ authority, ip: address }));
}

/**
 * Gives each request the connection that is next in turn, of those that stand. What does not answer is left out until it
 * does again; the address is looked up again for as long as something is missing.
 */
export class Route {
  readonly #target: Target;
  readonly #open: (place: Place) => Line;
  readonly #pacing: Pacing;
  /** Those in turn, by where they lead. */
  #lines: Map<string, Line>;
  readonly #left = new Set<Line>();
  #turn = 0;
  #attempt = 0;
  #nextSearch = -Infinity;
  #isComplete: boolean;
  #isClosed = false;

  /** Remembers where to connect; nothing is opened yet. */
  constructor(target: Target, pacing: Pacing, open: (place: Place) => Line) {
    this.#target = target;
    this.#pacing = pacing;
    this.#open = open;
    this.#isComplete = target.find === undefined;
    this.#lines = new Map([['', open(target.first)]]);
  }

  /**
   * Returns a connection that stands.
   *
   * @throws SessionGatewayError if there is none.
   */
  async connect(flight: Flight, deadline: Deadline | undefined, runState: RunState | undefined): Promise<Line> {
    this.#searchIfIncomplete();
    const lines = this.#inTurn();
    for (const [index, line] of lines.entries()) {
      try {
        await line.connect(flight, deadline, runState);
        return line;
      } catch (reason) {
        const isLast = index + 1 === lines.length;
        if (isLast || !(reason instanceof SessionGatewayError) || reason.grpcStatus !== 'UNAVAILABLE') {
          throw reason;
        }
      }
    }
    throw new TypeError('the client is closed');
  }

  /**
   * Takes another connection from now on: this one says nothing, and may lead to a host that has vanished. What is in
   * flight stays on it, since it may as well be that only one stream is stuck.
   */
  leave(line: Line): void {
    const place = [...this.#lines].find(([, each]) => each === line)?.[0];
    if (place !== undefined && !line.isConnecting && !this.#isClosed) {
      this.#lines.set(place, this.#open(line.place));
      this.#retire(line);
    }
  }

  /** Breaks all connections. */
  close(): void {
    this.#isClosed = true;
    for (const line of [...this.#lines.values(), ...this.#left]) {
      line.close();
    }
  }

  /** Those that stand come first, beginning with the one after the last that was taken. */
  #inTurn(): readonly Line[] {
    const lines = [...this.#lines.values()];
    const open = lines.filter((line) => line.isOpen);
    this.#turn = (this.#turn + 1) % 0x40000000;
    const rotated = (some: readonly Line[]) => {
      const first = this.#turn % Math.max(some.length, 1);
      return [...some.slice(first), ...some.slice(0, first)];
    };
    return [...rotated(open), ...rotated(lines.filter((line) => !line.isOpen))];
  }

  #searchIfIncomplete(): void {
    const { clock, reconnect, random } = this.#pacing;
    if (
      this.#target.find === undefined ||
      (this.#isComplete && [...this.#lines.values()].every((line) => line.isOpen))
    ) {
      return;
    }
    if (clock.now() >= this.#nextSearch) {
      // Until it has ended there is no other.
      this.#nextSearch = Infinity;
      void this.#search(this.#target.find).then((isComplete) => {
        this.#isComplete = isComplete;
        this.#attempt = isComplete ? 0 : this.#attempt + 1;
        this.#nextSearch = clock.now() + backoffDelay(reconnect, this.#attempt, random());
      });
    }
  }

  /** Connects to all that the address stands for now, and returns whether all of them answer. */
  async #search(find: () => Promise<readonly Place[]>): Promise<boolean> {
    const places = await find().catch(() => []);
    if (this.#closed() || places.length === 0) {
      return false;
    }
    const found = new Map(places.map((each) => [each.ip ?? each.authority, each]));
    const lines = new Map([...found].map(([key, each]) => [key, this.#lines.get(key) ?? this.#open(each)]));
    const attempts = [...lines.values()].map((line) => line.reach());
    // Who answers serves at once, and does not wait for those that may not.
    const isAny = await Promise.any(
      attempts.map(async (attempt) => (await attempt) || Promise.reject(new Error())),
    ).then(
      () => true,
      () => false,
    );
    if (this.#closed()) {
      for (const line of lines.values()) {
        line.close();
      }
      return false;
    }
    this.#take(isAny ? lines : this.#lines, lines);
    return (await Promise.all(attempts)).every((isReached) => isReached);
  }

  /** Uses these from now on, and gives up what is not among them. */
  #take(taken: Map<string, Line>, tried: Map<string, Line>): void {
    const given = new Set([...this.#lines.values(), ...tried.values()]);
    this.#lines = taken;
    for (const line of taken.values()) {
      given.delete(line);
    }
    for (const line of given) {
      this.#left.add(line);
      // By then whoever has just been given it has begun to use it.
      setImmediate(() => {
        this.#retire(line);
      });
    }
  }

  /** Asked again after each wait. */
  #closed(): boolean {
    return this.#isClosed;
  }

  #retire(line: Line): void {
    this.#left.add(line);
    line.retire(() => this.#left.delete(line));
  }
}
