/** What stands before a gateway on the network. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { deferred } from './testing.js';

/** What becomes of one connection: it is led to the gateway, or taken and never heard of again. */
export type Fate = 'passes' | 'vanishes';

/** Takes connections for a gateway, and deals with each as the test says; with more of them as with the last. */
export class Front {
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  readonly #came = [deferred(), deferred(), deferred()];
  readonly #ended = [deferred(), deferred(), deferred()];

  private constructor(port: number, fates: readonly Fate[]) {
    this.#server = createServer((socket) => {
      const number = this.#sockets.push(socket) - 1;
      this.#came[number]?.resolve();
      socket.on('error', () => undefined).on('close', () => this.#ended[number]?.resolve());
      if ((fates[number] ?? fates.at(-1)) === 'passes') {
        const onward = connect(port, '127.0.0.1').on('error', () => undefined);
        socket.pipe(onward).pipe(socket);
        onward.on('close', () => socket.destroy());
        socket.on('close', () => onward.destroy());
      } else {
        socket.resume();
      }
    });
  }

  /** Puts one up for the time of a test. */
  static async put(context: TestContext, port: number, ...fates: Fate[]): Promise<Front> {
    const front = new Front(port, fates);
    await new Promise<void>((resolve) => front.#server.listen(0, '127.0.0.1', resolve));
    context.after(() => {
      front.#server.close();
      front.#sockets.forEach((socket) => socket.destroy());
    });
    return front;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many connections have come. */
  get connections(): number {
    return this.#sockets.length;
  }

  /** Waits until one of the first three has come. */
  async arrival(number: number): Promise<void> {
    await this.#came[number]?.promise;
  }

  /** Waits until one of the first three has ended. */
  async end(number: number): Promise<void> {
    await this.#ended[number]?.promise;
  }
}

/** Returns a certificate of 127.0.0.1 that is its own authority, and its key. */
export function selfSigned(): { cert: Buffer; key: Buffer } {
  const directory = mkdtempSync(join(tmpdir(), 'sgw-cert-'));
  try {
    const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key];
    const name = ['-subj', '/CN=gateway', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const given = ['req', '-x509', ...kind, ...name, '-days', '1', '-out', cert];
    execFileSync('openssl', given, { stdio: ['ignore', 'ignore', 'pipe'] });
    return { cert: readFileSync(cert), key: readFileSync(key) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
