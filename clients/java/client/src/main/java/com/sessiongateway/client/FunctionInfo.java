package com.sessiongateway.client;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.protobuf.ByteString;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.v1.Function;

/**
 * A function of an app. The schemas are JSON Schema (2020-12).
 *
 * @param message the message of the protocol
 */
public record FunctionInfo(Function message) {

  /** Returns the name. */
  public String name() {
    return message.getName();
  }

  /** Returns what the app's author wrote about it. */
  public String description() {
    return message.getDescription();
  }

  /** Returns whether it sends partial outputs before its result. */
  public boolean streams() {
    return message.getStreams();
  }

  /** Returns the schema of the input. */
  public JsonNode inputSchema() {
    return schema(message.getInputSchema());
  }

  /** Returns the schema of the output. */
  public JsonNode outputSchema() {
    return schema(message.getOutputSchema());
  }

  /** Returns the schema of a partial output; empty unless it streams. */
  public JsonNode partialSchema() {
    return schema(message.getPartialSchema());
  }

  private static JsonNode schema(String text) {
    ByteString bytes = ByteString.copyFromUtf8(text.isEmpty() ? "{}" : text);
    return new JsonOutput(bytes, "", "", RunState.UNKNOWN).tree();
  }
}
