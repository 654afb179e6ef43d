/** What answers on keepalive streams. */

import { ErrorCode } from '../../src/gen/sessiongateway/v1/errors_pb.js';
import { activeSession } from './scripted.js';

export type Requests = AsyncIterable<{ sessionIds: string[] }>;

export const renewed = (sessionId: string, sessionTimeout = 60) => ({
  sessionId,
  outcome: { case: 'session' as const, value: activeSession(sessionId, { sessionTimeout }) },
});
export const lost = (sessionId: string) => ({
  sessionId,
  outcome: { case: 'error' as const, value: { code: ErrorCode.SESSION_NOT_FOUND, message: 'gone', sessionId } },
});

/** Answers every id, those that begin with "gone" with an error, and keeps what it was asked on each stream. */
export function keeper(timeouts: Record<string, number> = {}) {
  const streams: string[][][] = [];
  const streamKeepalive = async function* (requests: Requests) {
    const asked: string[][] = [];
    streams.push(asked);
    for await (const { sessionIds } of requests) {
      asked.push([...sessionIds].sort());
      for (const id of sessionIds) {
        yield id.startsWith('gone') ? lost(id) : renewed(id, timeouts[id] ?? 60);
      }
    }
  };
  return { streams, streamKeepalive };
}
