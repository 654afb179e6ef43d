package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.v1.RunResponse;
import org.jspecify.annotations.Nullable;

/**
 * The answer of one run.
 *
 * @param sessionId null for a run without a session
 * @param output what the function returned
 * @param callId names this call in the gateway's log
 * @param session the session after the call; null for a run without one
 */
public record RunResult(
    @Nullable String sessionId, JsonOutput output, String callId, @Nullable SessionInfo session) {

  static RunResult of(RunResponse response) {
    String sessionId = response.getSessionId();
    String callId = response.getCallId();
    if (!response.hasOutputJson()) {
      throw Errors.invalidResponse(
          "the output is not in the form that was asked for",
          RunState.COMPLETED,
          sessionId,
          callId);
    }
    return new RunResult(
        sessionId.isEmpty() ? null : sessionId,
        new JsonOutput(response.getOutputJson(), sessionId, callId, RunState.COMPLETED),
        callId,
        response.hasSession() ? new SessionInfo(response.getSession()) : null);
  }
}
