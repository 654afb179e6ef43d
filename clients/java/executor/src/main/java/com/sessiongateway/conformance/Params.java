package com.sessiongateway.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.sessiongateway.client.RunParams;
import java.time.Duration;
import java.util.function.Consumer;

/** The fields of a run, as commands have them. */
final class Params {
  private Params() {}

  /** Sets those that are there. */
  static void fill(RunParams.Builder builder, JsonNode params) {
    text(params, "function", builder::function);
    text(params, "request_id", builder::requestId);
    if (params.hasNonNull("expected_call_count")) {
      builder.expectedCallCount(integer(params, "expected_call_count"));
    }
    if (params.has("op")) {
      return;
    }
    text(params, "app", builder::app);
    text(params, "session", builder::session);
    text(params, "worker_id", builder::workerId);
    if (params.hasNonNull("session_timeout")) {
      builder.sessionTimeout(Duration.ofSeconds(integer(params, "session_timeout")));
    }
  }

  private static void text(JsonNode params, String field, Consumer<String> set) {
    if (params.hasNonNull(field)) {
      set.accept(Commands.text(params, field));
    }
  }

  private static long integer(JsonNode params, String field) {
    if (!params.path(field).canConvertToLong() || !params.path(field).isIntegralNumber()) {
      throw new IllegalArgumentException(field + " must be an integer");
    }
    return params.path(field).asLong();
  }
}
