/** Without any layer: the generated code, and what the gateway puts into its statuses. */

import assert from 'node:assert/strict';

import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import {
  AppService,
  BadRequestSchema,
  ErrorCode,
  ErrorDetailSchema,
  ErrorInfoSchema,
  RunState,
  SessionService,
} from '@sessiongateway/client/stubs';

import { gatewayForTests } from './support/gateway.js';
import { failureOf, test } from './support/testing.js';

const gateway = gatewayForTests({ kv: 'examples/kv' });

test('the bare stub calls the gateway, and decodes the details of its errors', async () => {
  const transport = createGrpcTransport({ baseUrl: `http://${gateway.address}` });
  const sessions = createClient(SessionService, transport);
  const answer = await sessions.run({ app: 'kv', payload: { case: 'input', value: { a: 1 } } });
  assert.equal(answer.result.case, 'output');
  assert.deepEqual(
    (await createClient(AppService, transport).listApps({})).apps.map(({ name }) => name),
    ['kv'],
  );

  const failure = await failureOf(sessions.run({ app: 'kv', session: 'sess_unknown' }));
  assert.ok(failure instanceof ConnectError);
  assert.equal(failure.code, Code.NotFound);
  const [detail] = failure.findDetails(ErrorDetailSchema);
  assert.deepEqual([detail?.code, detail?.runState], [ErrorCode.SESSION_NOT_FOUND, RunState.NOT_STARTED]);
  const [info] = failure.findDetails(ErrorInfoSchema);
  assert.deepEqual(
    [info?.reason, info?.domain, info?.metadata.httpStatus],
    ['SESSION_NOT_FOUND', 'sessiongateway', '404'],
  );

  const invalid = await failureOf(sessions.run({ app: '', sessionTimeout: 0 }));
  assert.ok(invalid instanceof ConnectError);
  const fields = invalid.findDetails(BadRequestSchema)[0]?.fieldViolations.map(({ field }) => field);
  assert.ok(fields?.includes('app') && fields.includes('session_timeout'));
});
