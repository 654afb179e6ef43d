package com.sessiongateway.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sessiongateway.client.AppInfo;
import com.sessiongateway.client.RunResult;
import com.sessiongateway.client.SessionInfo;
import com.sessiongateway.client.errors.AppFailure;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.WorkerExit;
import java.time.Duration;
import java.time.Instant;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;

/** What the client returns and throws, as JSON. */
final class Answers {
  private Answers() {}

  static ObjectNode object() {
    return Main.MAPPER.createObjectNode();
  }

  static JsonNode result(RunResult result) {
    ObjectNode answer = object();
    answer.put("session_id", result.sessionId() == null ? "" : result.sessionId());
    answer.put("output", result.output().text());
    answer.put("call_id", result.callId());
    answer.set("session", session(result.session()));
    return answer;
  }

  static JsonNode session(SessionInfo info) {
    if (info == null) {
      return Main.MAPPER.nullNode();
    }
    ObjectNode answer = object();
    answer.put("id", info.id());
    answer.put("app", info.app());
    answer.put("version", info.version());
    answer.put("status", info.statusName());
    answer.put("end_reason", info.endReasonName());
    answer.put("worker_id", info.workerId());
    answer.put("session_timeout", info.sessionTimeout().toSeconds());
    answer.put("created_at", text(info.createdAt()));
    answer.put("expires_at", text(info.expiresAt()));
    answer.put("expires_in", seconds(info.expiresIn()));
    answer.put("last_call_at", text(info.lastCallAt()));
    answer.put("ended_at", text(info.endedAt()));
    answer.put("call_count", info.callCount());
    answer.set("worker_exit", workerExit(info.workerExit()));
    return answer;
  }

  static JsonNode app(AppInfo info) {
    ObjectNode answer = object();
    answer.put("name", info.name());
    answer.put("version", info.version());
    ArrayNode functions = answer.putArray("functions");
    info.functions()
        .forEach(
            function ->
                functions
                    .addObject()
                    .put("name", function.name())
                    .put("streams", function.streams()));
    return answer;
  }

  static JsonNode code(String code, String message) {
    return object().put("code", code).put("message", message);
  }

  static JsonNode error(Throwable error) {
    if (error instanceof SessionGatewayException failure) {
      return error(failure);
    }
    if (error instanceof RawRun.Failure failure) {
      return failure.details();
    }
    if (error instanceof CancellationException) {
      return object()
          .put("code", "CANCELLED")
          .put("message", error.getMessage())
          .put("class", error.getClass().getSimpleName());
    }
    if (error instanceof UnsupportedOperationException) {
      return code("UNSUPPORTED_COMMAND", error.getMessage());
    }
    boolean isUsage =
        error instanceof IllegalArgumentException
            || error instanceof IllegalStateException
            || error instanceof NullPointerException
            || error instanceof NoSuchElementException;
    if (!isUsage) {
      error.printStackTrace();
    }
    return object()
        .put("code", isUsage ? "USAGE" : "EXECUTOR_FAILED")
        .put("message", String.valueOf(error.getMessage()))
        .put("class", error.getClass().getSimpleName());
  }

  static JsonNode error(SessionGatewayException error) {
    ObjectNode answer = object();
    answer.put("code", error.code());
    answer.put("message", error.description());
    answer.put("grpc_status", error.grpcStatus() == null ? null : error.grpcStatus().name());
    answer.put("class", error.getClass().getSimpleName());
    answer.put("session_id", error.sessionId());
    answer.put("run_state", error.runStateName());
    answer.put("retry_after", error.retryAfter() == null ? null : seconds(error.retryAfter()));
    answer.put("http_status", error.httpStatus());
    answer.put("end_reason", error.endReasonName());
    answer.put("call_id", error.callId());
    ArrayNode violations = answer.putArray("field_violations");
    error
        .fieldViolations()
        .forEach(each -> violations.addArray().add(each.field()).add(each.description()));
    answer.set("app_failure", appFailure(error.appFailure()));
    answer.set("worker_exit", workerExit(error.workerExit()));
    answer.put("session_app", error.sessionApp());
    answer.put("requested_app", error.requestedApp());
    answer.put("error_id", error.errorId());
    answer.set("metadata", Main.MAPPER.valueToTree(error.metadata()));
    return answer;
  }

  private static JsonNode appFailure(AppFailure failure) {
    if (failure == null) {
      return Main.MAPPER.nullNode();
    }
    return object()
        .put("type", failure.type())
        .put("message", failure.message())
        .put("traceback", failure.traceback());
  }

  private static JsonNode workerExit(WorkerExit exit) {
    if (exit == null) {
      return Main.MAPPER.nullNode();
    }
    ObjectNode answer = object();
    if (exit.exitCode() != null) {
      answer.put("exit_code", exit.exitCode());
    }
    if (exit.signal() != null) {
      answer.put("signal", exit.signal());
    }
    return answer;
  }

  private static String text(Instant moment) {
    return moment == null ? null : moment.toString();
  }

  private static double seconds(Duration duration) {
    return duration.getSeconds() + duration.getNano() / 1e9;
  }
}
