/** A gateway that answers as a test wants. */

import { createServer, createSecureServer } from 'node:http2';
import type { Http2Server, SecureServerOptions, ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import type { ServiceImpl, Code } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';

import { Inference } from '../../src/client.js';
import type { InferenceOptions } from '../../src/client.js';
import { AppService } from '../../src/gen/sessiongateway/v1/apps_pb.js';
import { ErrorDetailSchema } from '../../src/gen/sessiongateway/v1/errors_pb.js';
import { SessionSchema, SessionService, SessionStatus } from '../../src/gen/sessiongateway/v1/sessions_pb.js';
import type { RunRequest, Session, RunResponseSchema } from '../../src/gen/sessiongateway/v1/sessions_pb.js';

/** Waits that are over at once. */
export const IMPATIENT = {
  random: () => 0,
  runBackoff: { initial: 1, maximum: 1 },
  repeatBackoff: { initial: 1, maximum: 1 },
  reconnect: { initial: 1, maximum: 1 },
};

type SessionScript = Partial<ServiceImpl<typeof SessionService>>;
type AppScript = Partial<ServiceImpl<typeof AppService>>;

/** A server with the methods that a test gives it; the others are UNIMPLEMENTED. */
export class ScriptedGateway {
  readonly #server: Http2Server;
  readonly #connections = new Set<ServerHttp2Session>();

  private constructor(sessions: SessionScript, apps: AppScript, tls: SecureServerOptions | undefined) {
    const adapter = connectNodeAdapter({
      readMaxBytes: 2 ** 27,
      routes: (router) => {
        router.service(SessionService, sessions);
        router.service(AppService, apps);
      },
    });
    this.#server = tls ? createSecureServer(tls, adapter) : createServer(adapter);
    this.#server.on('session', (connection) => this.#connections.add(connection));
  }

  /** Starts one with these methods, on any port, for the time of a test. */
  static async start(
    context: TestContext,
    sessions: SessionScript,
    options: { apps?: AppScript; tls?: SecureServerOptions; port?: number } = {},
  ): Promise<ScriptedGateway> {
    const gateway = new ScriptedGateway(sessions, options.apps ?? {}, options.tls);
    await new Promise<void>((resolve) => gateway.#server.listen(options.port ?? 0, '127.0.0.1', resolve));
    context.after(() => gateway.stop());
    return gateway;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Makes a client of it, which is closed after the test. */
  client(context: TestContext, options: InferenceOptions = {}): Inference {
    const client = new Inference({
      address: this.address,
      ...options,
      pacing: { ...IMPATIENT, ...options.pacing },
    });
    context.after(() => client.close());
    return client;
  }

  /** Cuts every connection, as a host that goes down does. */
  cut(): void {
    for (const connection of this.#connections) {
      connection.destroy();
    }
    this.#connections.clear();
  }

  /** Takes no more requests on its connections, as a server that is replaced; returns when its callers know. */
  async goAway(): Promise<void> {
    for (const connection of this.#connections) {
      connection.goaway();
      await new Promise<void>((resolve) => {
        connection.ping(() => {
          resolve();
        });
      });
    }
  }

  /** Cuts every connection and listens no more. May be called twice. */
  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Answers a run with its input. */
export function echo(request: RunRequest): MessageInitShape<typeof RunResponseSchema> {
  return { result: { case: 'outputJson', value: request.payload.value as Uint8Array<ArrayBuffer> } };
}

/** A status of the gateway with its typed detail. */
export function refusal(
  status: Code,
  detail: MessageInitShape<typeof ErrorDetailSchema>,
  ...more: NonNullable<ConstructorParameters<typeof ConnectError>[3]>
): ConnectError {
  const details = [{ desc: ErrorDetailSchema, value: create(ErrorDetailSchema, detail) }, ...more];
  return new ConnectError('as scripted', status, undefined, details);
}

/** An active session of kv@v1. */
export function activeSession(id: string, fields: MessageInitShape<typeof SessionSchema> = {}): Session {
  const status = SessionStatus.ACTIVE;
  return create(SessionSchema, { id, app: 'kv', version: 'v1', status, sessionTimeout: 60, ...fields });
}
