/** Messages on their way to a stream that takes them when it can. */

/** An async iterable that others put messages into. */
export class Outbox<Message> implements AsyncIterable<Message> {
  readonly #waiting: Message[] = [];
  #isClosed = false;
  #wake: () => void = () => undefined;

  /** Adds a message. */
  put(message: Message): void {
    this.#waiting.push(message);
    this.#wake();
  }

  /** Ends the iteration, behind what is waiting. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) {
        yield message;
      } else if (this.#isClosed) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
