package com.sessiongateway.client;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.core.util.JsonGeneratorDelegate;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.google.protobuf.ByteString;
import java.io.IOException;

/** Between Java's values and JSON text. */
final class Json {
  private static final int MAX_TEXT = 128 * 1024 * 1024;

  static final JsonMapper MAPPER =
      JsonMapper.builder()
          // The text is limited by the size of a message already.
          .configure(DeserializationFeature.FAIL_ON_TRAILING_TOKENS, true)
          .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false)
          .configure(JsonWriteFeature.COMBINE_UNICODE_SURROGATES_IN_UTF8, true)
          .build();

  static {
    MAPPER
        .getFactory()
        .setStreamReadConstraints(
            StreamReadConstraints.builder()
                .maxStringLength(MAX_TEXT)
                .maxNumberLength(10_000)
                .maxNameLength(MAX_TEXT)
                .build());
  }

  private Json() {}

  /**
   * Returns a value as UTF-8 text.
   *
   * @throws IllegalArgumentException it is no JSON object, or holds what JSON does not have
   */
  static ByteString encode(Object value) {
    ByteString.Output text = ByteString.newOutput();
    try (JsonGenerator generator = new Strict(MAPPER.createGenerator(text))) {
      MAPPER.writeValue(generator, value);
    } catch (IOException error) {
      throw new IllegalArgumentException(
          "the input cannot be sent as JSON: " + sentence(error), error);
    }
    ByteString encoded = text.toByteString();
    if (encoded.isEmpty() || encoded.byteAt(0) != '{') {
      throw new IllegalArgumentException(
          "the input must be a JSON object, and not what "
              + value.getClass().getName()
              + " becomes");
    }
    return encoded;
  }

  /**
   * Returns text as UTF-8, as it is.
   *
   * @throws IllegalArgumentException it is no JSON object
   */
  static ByteString check(String text) {
    try (JsonParser parser = MAPPER.createParser(text)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw new IllegalArgumentException("the input must be a JSON object");
      }
      parser.skipChildren();
      if (parser.nextToken() != null) {
        throw new IllegalArgumentException("the input goes on behind its JSON object");
      }
    } catch (IOException error) {
      throw new IllegalArgumentException("the input is not JSON: " + sentence(error), error);
    }
    ByteString encoded = ByteString.copyFromUtf8(text);
    if (!encoded.toStringUtf8().equals(text)) {
      throw new IllegalArgumentException(
          "the input holds half a character, which UTF-8 does not have");
    }
    return encoded;
  }

  private static String sentence(IOException error) {
    return error instanceof JsonProcessingException problem
        ? problem.getOriginalMessage()
        : String.valueOf(error.getMessage());
  }

  /** Refuses what Jackson would write as text behind the caller's back. */
  private static final class Strict extends JsonGeneratorDelegate {
    Strict(JsonGenerator generator) {
      // Objects and trees are written through this, too, and not by the generator behind it.
      super(generator, false);
    }

    @Override
    public void writeArray(double[] array, int offset, int length) throws IOException {
      writeStartArray(array, length);
      for (int index = offset; index < offset + length; index++) {
        writeNumber(array[index]);
      }
      writeEndArray();
    }

    @Override
    public void writeNumber(double number) throws IOException {
      if (!Double.isFinite(number)) {
        throw new IOException(number + " is not JSON");
      }
      super.writeNumber(number);
    }

    @Override
    public void writeNumber(float number) throws IOException {
      if (!Float.isFinite(number)) {
        throw new IOException(number + " is not JSON");
      }
      super.writeNumber(number);
    }
  }
}
