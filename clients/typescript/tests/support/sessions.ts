/** What answers for sessions in tests of their handles. */

import { EndReason } from '../../src/gen/sessiongateway/v1/errors_pb.js';
import type { EndSessionRequest, RunRequest } from '../../src/gen/sessiongateway/v1/sessions_pb.js';
import { SessionStatus } from '../../src/gen/sessiongateway/v1/sessions_pb.js';
import { activeSession } from './scripted.js';

/** Opens sess_1, sess_2, ... of kv@v1, echoes, and keeps what it was asked. */
export class Sessions {
  readonly runs: RunRequest[] = [];
  readonly ended: string[] = [];
  #opened = 0;

  readonly run = (request: RunRequest) => {
    this.runs.push(request);
    const sessionId = request.session === 'new' ? `sess_${(this.#opened += 1)}` : request.session;
    const value = request.payload.value as Uint8Array<ArrayBuffer>;
    return { sessionId, session: activeSession(sessionId), result: { case: 'outputJson' as const, value } };
  };

  readonly runStream = async function* (this: Sessions, request: RunRequest) {
    yield { part: { case: 'partialJson' as const, value: new TextEncoder().encode('{"n":1}') } };
    yield { part: { case: 'result' as const, value: this.run(request) } };
  };

  readonly endSession = ({ sessionId }: EndSessionRequest) => {
    this.ended.push(sessionId);
    return { session: activeSession(sessionId, { status: SessionStatus.ENDED, endReason: EndReason.CALLER }) };
  };

  script() {
    return { run: this.run, runStream: this.runStream.bind(this), endSession: this.endSession };
  }
}
