/** A gate at which a function of the probe app stands until a test opens it. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { join } from 'node:path';

import { deferred } from './testing.js';

let number = 0;

/** One gate; whoever comes connects to its Unix socket. */
export class Gate {
  /** Where it is. */
  readonly path: string;
  readonly #server: Server;
  readonly #arrived = deferred<Socket>();
  readonly #left = deferred();

  private constructor(path: string) {
    this.path = path;
    this.#server = createServer((socket) => {
      socket.once('data', () => {
        this.#arrived.resolve(socket);
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#left.resolve();
      });
    });
  }

  /** Puts one up for the time of a test. */
  static async put(context: TestContext, directory: string): Promise<Gate> {
    const gate = new Gate(join(directory, `gate${(number += 1)}`));
    gate.#server.listen(gate.path);
    await once(gate.#server, 'listening');
    context.after(() => {
      gate.#server.close();
      void gate.#arrived.promise.then((socket) => socket.destroy());
    });
    return gate;
  }

  /** Waits until somebody stands there. */
  async arrival(): Promise<void> {
    await this.#arrived.promise;
  }

  /** Waits until who stood there has gone. */
  async departure(): Promise<void> {
    await this.#left.promise;
  }

  /** Lets who stands there go on. */
  async open(): Promise<void> {
    (await this.#arrived.promise).write('go\n');
  }
}
