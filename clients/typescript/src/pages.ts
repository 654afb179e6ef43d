/** A list that comes in pages. */

/** Fetches one page: from its token, at first "", to its items and the next token, "" on the last one. */
export type FetchPage<Item> = (token: string) => Promise<{ items: Item[]; next: string }>;

/**
 * All items of all pages. Awaited, it is an array of them; iterated over with `for await`, each page is fetched when its
 * first item is asked for.
 */
export class Pages<Item> implements PromiseLike<Item[]>, AsyncIterable<Item> {
  readonly #fetch: FetchPage<Item>;
  #all: Promise<Item[]> | undefined;

  /** @internal */
  constructor(fetch: FetchPage<Item>) {
    this.#fetch = fetch;
  }

  /** Fetches all pages, once however often it is awaited. */
  then<Fulfilled = Item[], Rejected = never>(
    onFulfilled?: ((items: Item[]) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    this.#all ??= this.#collect();
    return this.#all.then(onFulfilled, onRejected);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void> {
    let token = '';
    // A page may be empty and still not be the last: a filter is applied after the page was cut.
    do {
      const { items, next } = await this.#fetch(token);
      yield* items;
      token = next;
    } while (token !== '');
  }

  async #collect(): Promise<Item[]> {
    const found: Item[] = [];
    for await (const item of this) {
      found.push(item);
    }
    return found;
  }
}
