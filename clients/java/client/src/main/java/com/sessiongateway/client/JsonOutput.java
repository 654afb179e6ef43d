package com.sessiongateway.client;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.core.exc.StreamReadException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.google.protobuf.ByteString;
import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.jspecify.annotations.Nullable;

/**
 * What a function returned or yielded: a JSON object, kept as the text that came and decoded when
 * it is asked for. Integers are exact. Decoding takes numbers of up to 10,000 digits, and objects
 * and arrays up to 1000 deep; what is beyond is INVALID_RESPONSE there, and can still be had as
 * text.
 */
public final class JsonOutput {
  private final ByteString text;
  private final String sessionId;
  private final String callId;
  private final RunState runState;

  JsonOutput(ByteString text, String sessionId, String callId, RunState runState) {
    this.text = text;
    this.sessionId = sessionId;
    this.callId = callId;
    this.runState = runState;
  }

  /**
   * Decodes it into a tree.
   *
   * @throws SessionGatewayException INVALID_RESPONSE: it is not JSON, or beyond the limits
   */
  public JsonNode tree() {
    return read(new TypeReference<JsonNode>() {});
  }

  /**
   * Decodes it into an object of Jackson's making. Properties that the class does not have are
   * passed over.
   *
   * @throws SessionGatewayException INVALID_RESPONSE: it is not JSON, or beyond the limits
   * @throws IllegalArgumentException it does not fit the class
   */
  public <T> T as(Class<T> type) {
    return read(
        new TypeReference<T>() {
          @Override
          public java.lang.reflect.Type getType() {
            return type;
          }
        });
  }

  /**
   * Decodes it into an object of Jackson's making, such as {@code new TypeReference<Map<String,
   * Object>>() {}}.
   *
   * @throws SessionGatewayException INVALID_RESPONSE: it is not JSON, or beyond the limits
   * @throws IllegalArgumentException it does not fit the type
   */
  public <T> T as(TypeReference<T> type) {
    return read(type);
  }

  /** Returns the JSON text as it came. */
  public String text() {
    return text.toStringUtf8();
  }

  /** Returns the UTF-8 bytes as they came. */
  public byte[] bytes() {
    return text.toByteArray();
  }

  /** Returns the JSON text. */
  @Override
  public String toString() {
    return text();
  }

  private <T> T read(TypeReference<T> type) {
    try {
      return Json.MAPPER.readValue(text.newInput(), type);
    } catch (JacksonException error) {
      JsonProcessingException unreadable = unreadable(error);
      if (unreadable != null) {
        throw Errors.invalidResponse(
            "the output cannot be read: " + unreadable.getOriginalMessage(),
            runState,
            sessionId,
            callId);
      }
      throw new IllegalArgumentException("the output does not fit " + type.getType(), error);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** Returns what is wrong with the text itself; Jackson wraps that when it fills an object. */
  private static @Nullable JsonProcessingException unreadable(JacksonException error) {
    for (Throwable each = error; each != null; each = each.getCause()) {
      if (each instanceof StreamReadException || each instanceof StreamConstraintsException) {
        return (JsonProcessingException) each;
      }
    }
    return null;
  }
}
