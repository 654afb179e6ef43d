/** A run over the generated stub alone: what a caller needs who wants no layer. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';

import {
  BadRequestSchema,
  ErrorCode,
  ErrorDetailSchema,
  ErrorInfoSchema,
  RunRequestSchema,
  RunResponseSchema,
  RunState,
  SessionService,
} from '../src/stubs.js';
import { NOTHING } from './render.js';

/** Sends the bytes of a RunRequest and returns those of the RunResponse, both in base64. */
export async function rawRun(address: string, apiKey: string | undefined, request: string): Promise<object> {
  const transport = createGrpcTransport({ baseUrl: `http://${address}` });
  const headers: Record<string, string> = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
  const message = fromBinary(RunRequestSchema, Buffer.from(request, 'base64'));
  const response = await createClient(SessionService, transport).run(message, { headers });
  return { response: Buffer.from(toBinary(RunResponseSchema, response)).toString('base64') };
}

/** Returns the ERROR of a failed raw run, decoded from the details of its status. */
export function renderRawError(failure: unknown): object {
  const error = ConnectError.from(failure);
  const detail = error.findDetails(ErrorDetailSchema)[0] ?? create(ErrorDetailSchema);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
  const status = Code[error.code].replace(/(?!^)[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  return {
    ...NOTHING,
    code: detail.code === ErrorCode.UNSPECIFIED ? (info?.reason ?? status) : ErrorCode[detail.code],
    message: error.rawMessage,
    grpc_status: status,
    class: error.name,
    session_id: detail.sessionId || null,
    run_state: detail.runState === RunState.UNSPECIFIED ? null : RunState[detail.runState].toLowerCase(),
    http_status: detail.httpStatus || null,
    call_id: detail.callId || null,
    field_violations: violations.map(({ field, description }) => [field, description]),
    metadata: info?.metadata ?? {},
  };
}
