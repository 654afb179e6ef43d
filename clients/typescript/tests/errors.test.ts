import assert from 'node:assert/strict';

import { create, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';

import * as exported from '../src/index.js';
import { CancelledError, SessionGatewayError, SessionNotFoundError, UnavailableError } from '../src/errors.js';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../src/gen/google/rpc/error_details_pb.js';
import { EndReason, ErrorCode, ErrorDetailSchema, RunState } from '../src/gen/sessiongateway/v1/errors_pb.js';
import { fromDetail, fromFailure, isFinal, transportError } from '../src/status.js';
import { refusal } from './support/scripted.js';
import { test } from './support/testing.js';

const CODES = Object.values(ErrorCode).filter((code): code is ErrorCode => typeof code === 'number' && code !== 0);

test('every code of the protocol has a class of its own, which the package exports', () => {
  const classes = CODES.map((code) => fromDetail(create(ErrorDetailSchema, { code })));
  assert.equal(new Set(classes.map((error) => error.constructor)).size, CODES.length);
  for (const [index, error] of classes.entries()) {
    assert.equal(error.code, ErrorCode[CODES[index] ?? 0]);
    assert.equal((exported as Record<string, unknown>)[error.name], error.constructor);
    assert.ok(error instanceof SessionGatewayError && error instanceof Error);
  }
});

test('the three of the transport have classes, and other statuses the base class with their name', () => {
  const codes = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED', 'UNIMPLEMENTED', 'INTERNAL'];
  const names = codes.map((code) => transportError(code, '', undefined).name);
  assert.deepEqual(names, [
    'UnavailableError',
    'DeadlineExceededError',
    'CancelledError',
    'SessionGatewayError',
    'SessionGatewayError',
  ]);
});

test('an error carries everything that the gateway said', () => {
  const failure = refusal(
    Code.InvalidArgument,
    {
      code: ErrorCode.VERSION_MISMATCH,
      httpStatus: 400,
      runState: RunState.NOT_STARTED,
      sessionId: 'sess_1',
      endReason: EndReason.CALLER,
      callId: 'call_1',
      sessionApp: { app: 'kv', version: 'v1' },
      requestedApp: { app: 'kv' },
      appFailure: { type: 'ValueError', message: 'no', traceback: 'Traceback' },
      workerExit: { how: { case: 'exitCode', value: 3 } },
      errorId: 'err_1',
    },
    { desc: ErrorInfoSchema, value: { reason: 'VERSION_MISMATCH', domain: 'sessiongateway', metadata: { a: 'b' } } },
    { desc: RetryInfoSchema, value: { retryDelay: { seconds: 1n, nanos: 500_000_000 } } },
    { desc: BadRequestSchema, value: { fieldViolations: [{ field: 'app', description: 'is wrong' }] } },
  );
  const { details, ...error } = fromFailure(failure, true);
  assert.equal(details?.callId, 'call_1');
  assert.deepEqual(error, {
    name: 'VersionMismatchError',
    code: 'VERSION_MISMATCH',
    grpcStatus: 'INVALID_ARGUMENT',
    sessionId: 'sess_1',
    runState: 'not_started',
    retryAfterMs: 1500,
    httpStatus: 400,
    metadata: { a: 'b' },
    callId: 'call_1',
    endReason: 'caller',
    workerExit: { exitCode: 3 },
    sessionApp: 'kv@v1',
    requestedApp: 'kv',
    fieldViolations: [{ field: 'app', description: 'is wrong' }],
    appFailure: { type: 'ValueError', message: 'no', traceback: 'Traceback' },
    errorId: 'err_1',
  });
});

test('a code of a newer gateway is the base class with the name that the gateway gives it', () => {
  const info = { reason: 'TOO_HOT', domain: 'sessiongateway', metadata: { httpStatus: '418' } };
  const failure = refusal(Code.FailedPrecondition, { code: 999 as ErrorCode }, { desc: ErrorInfoSchema, value: info });
  const error = fromFailure(failure, true);
  assert.equal(error.constructor, SessionGatewayError);
  assert.deepEqual([error.code, error.httpStatus], ['TOO_HOT', 418]);
  assert.equal(fromDetail(create(ErrorDetailSchema, { code: 999 as ErrorCode })).code, 'UNKNOWN_999');
});

test('words of a newer gateway are told by their number', () => {
  const detail = { code: ErrorCode.SESSION_ENDED, endReason: 99 as EndReason, runState: 77 as RunState };
  const error = fromFailure(refusal(Code.FailedPrecondition, detail), true);
  assert.deepEqual([error.endReason, error.runState], ['unknown_99', 'unknown_77']);
});

test('the reason alone tells the class, but not one of another domain', () => {
  const of = (domain: string) => {
    const value = { reason: 'SESSION_EXPIRED', domain, metadata: {} };
    const metadata = { 'grpc-status': '9' };
    const failure = new ConnectError('x', Code.FailedPrecondition, metadata, [{ desc: ErrorInfoSchema, value }]);
    return fromFailure(failure, false).name;
  };
  assert.equal(of('sessiongateway'), 'SessionExpiredError');
  assert.equal(of('example'), 'SessionGatewayError');
});

test('details that cannot be read do not hide the status', () => {
  const failure = new ConnectError('x', Code.NotFound, { 'grpc-status': '5' });
  failure.details = [{ type: ErrorDetailSchema.typeName, value: new Uint8Array([255]) }];
  assert.equal(fromFailure(failure, false).code, 'NOT_FOUND');
  const short = toBinary(ErrorDetailSchema, create(ErrorDetailSchema, { message: 'long enough' })).slice(0, -3);
  failure.details = [{ type: ErrorDetailSchema.typeName, value: short }];
  assert.equal(fromFailure(failure, false).code, 'NOT_FOUND');
});

test('what breaks without a status of the server is UNAVAILABLE, and a run may have been applied', () => {
  for (const code of [Code.Canceled, Code.Aborted, Code.Internal, Code.Unknown, Code.Unavailable]) {
    const error = fromFailure(new ConnectError('broken', code), true);
    assert.ok(error instanceof UnavailableError);
    assert.equal(error.runState, 'unknown');
  }
  assert.equal(fromFailure(new Error('socket hang up'), false).code, 'UNAVAILABLE');
  assert.equal(fromFailure(new ConnectError('x', Code.Internal, { 'grpc-status': '13' }), false).code, 'INTERNAL');
});

test('what this side cannot write or read is no broken connection', () => {
  const of = (message: string) => fromFailure(new ConnectError(message, Code.Internal), true);
  assert.deepEqual([of('parse binary: x').code, of('parse binary: x').runState], ['INVALID_RESPONSE', 'unknown']);
  const unwritten = of('serialize binary: x');
  assert.deepEqual([unwritten.code, unwritten.runState], ['INVALID_MESSAGE', 'not_started']);
  const theirs = new ConnectError('parse binary: x', Code.Internal, { 'grpc-status': '13' });
  assert.equal(fromFailure(theirs, true).code, 'INTERNAL');
});

test('the name of an error does not depend on that of its class in a bundle', () => {
  const Renamed = class a extends SessionNotFoundError {};
  assert.equal(new Renamed('x').name, 'SessionNotFoundError');
  for (const [name, exportedClass] of Object.entries(exported)) {
    if (name.endsWith('Error')) {
      assert.equal(new (exportedClass as typeof SessionGatewayError)('x').name, name);
    }
  }
});

test('a worker that nobody saw die has an exit of which nothing is known', () => {
  const error = fromDetail(create(ErrorDetailSchema, { code: ErrorCode.WORKER_LOST, workerExit: {} }));
  assert.deepEqual(error.workerExit, {});
});

test('only statuses that would come again are final', () => {
  const final = (code: string) => isFinal(transportError(code, '', undefined));
  assert.deepEqual(['INVALID_ARGUMENT', 'UNAUTHENTICATED', 'UNAVAILABLE', 'CANCELLED'].map(final), [
    true,
    true,
    false,
    false,
  ]);
});

test('the reason of an abort is the cause of the error', () => {
  const cause = new Error('mine');
  assert.equal(new CancelledError('x', { cause }).cause, cause);
});
