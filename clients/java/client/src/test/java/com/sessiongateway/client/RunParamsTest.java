package com.sessiongateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.google.protobuf.ByteString;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import java.math.BigInteger;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RunParamsTest {
  record Point(int x, String name) {}

  @Test
  void noInputIsSentAsAnEmptyObject() {
    assertEquals("{}", sent(RunParams.builder()));
  }

  @Test
  void integersAndTextAreExact() {
    BigInteger large = new BigInteger("123456789012345678901234567890");
    assertEquals("{\"n\":" + large + "}", sent(RunParams.builder().input(Map.of("n", large))));
    assertEquals("{\"t\":\"aß€𝄞\"}", sent(RunParams.builder().input(Map.of("t", "aß€𝄞"))));
    assertEquals("{\"x\":1,\"name\":\"p\"}", sent(RunParams.builder().input(new Point(1, "p"))));
    assertEquals(" {\"a\": 1.0} ", sent(RunParams.builder().inputJson(" {\"a\": 1.0} ")));
  }

  @Test
  void halfACharacterIsSentAsItsEscape() {
    assertEquals("{\"h\":\"\\uD83D\"}", sent(RunParams.builder().input(Map.of("h", "\ud83d"))));
  }

  @Test
  void whatIsNoJsonIsRefused() {
    for (Object number : List.of(Double.NaN, Float.POSITIVE_INFINITY)) {
      refused(Map.of("a", number));
    }
    refused(JsonNodeFactory.instance.objectNode().put("a", Double.NaN));
    refused(Map.of("a", new double[] {1, Double.NaN}));
    refused(Map.of("a", new float[] {Float.NaN}));
    refused(Map.of("a", JsonNodeFactory.instance.objectNode().put("b", Double.NaN)));
    refused(
        JsonNodeFactory.instance.objectNode().putPOJO("a", Map.of("b", Double.NEGATIVE_INFINITY)));
    refused(List.of(1));
    refused("{}");
    Map<String, Object> cycle = new HashMap<>();
    cycle.put("self", cycle);
    refused(cycle);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "[1]", "{", "{} {}", "{\"a\": NaN}", "{\"a\": \"\ud83d\"}", "null"})
  void textThatIsNoJsonObjectIsRefused(String text) {
    RunParams.Builder builder = RunParams.builder();
    assertThrows(IllegalArgumentException.class, () -> builder.inputJson(text));
  }

  @Test
  void sessionTimeoutsHaveWholeSeconds() {
    RunParams.Builder builder = RunParams.builder().app("kv");
    assertThrows(
        IllegalArgumentException.class, () -> builder.sessionTimeout(Duration.ofMillis(1500)));
    // Whether it is in range is the gateway's to say.
    assertEquals(
        -1, builder.sessionTimeout(Duration.ofSeconds(-1)).build().request().getSessionTimeout());
  }

  @Test
  void aRunNeedsAnAppAndACallOfASessionMustNotHaveOne() {
    assertThrows(IllegalArgumentException.class, () -> RunParams.builder().build().request());
    RunParams named = RunParams.builder().app("kv").build();
    assertThrows(IllegalArgumentException.class, named::inSession);
  }

  @Test
  void whatIsNullIsNamed() {
    RunParams.Builder builder = RunParams.builder();
    Map<String, Executable> setters =
        Map.of(
            "app", () -> builder.app(null),
            "function", () -> builder.function(null),
            "session", () -> builder.session(null),
            "workerId", () -> builder.workerId(null),
            "requestId", () -> builder.requestId(null),
            "sessionTimeout", () -> builder.sessionTimeout(null));
    setters.forEach(
        (name, setter) ->
            assertEquals(
                name + " is null", assertThrows(NullPointerException.class, setter).getMessage()));
  }

  @Test
  void outputsAreDecodedWhenTheyAreAskedFor() {
    JsonOutput output =
        output("{\"n\": 123456789012345678901234567890, \"x\": 1, \"name\": \"p\"}");
    assertEquals(
        new BigInteger("123456789012345678901234567890"),
        output.tree().path("n").bigIntegerValue());
    assertEquals(new Point(1, "p"), output.as(Point.class));
    assertThrows(IllegalArgumentException.class, () -> output.as(Integer.class));
    SessionGatewayException error =
        assertThrows(SessionGatewayException.class, () -> output("{\"a\": ").tree());
    assertEquals("INVALID_RESPONSE", error.code());
    assertEquals(RunState.COMPLETED, error.runState());
  }

  @Test
  void anOutputThatCannotBeDecodedIsToldFromOneThatDoesNotFit() {
    List<String> unreadable =
        List.of(
            "{\"x\": tru, \"name\": \"p\"}",
            "{\"a\": " + "[".repeat(2000) + "]".repeat(2000) + "}",
            "{\"x\": " + "1".repeat(20_000) + "}");
    for (String text : unreadable) {
      for (Class<?> type : List.of(JsonNode.class, Point.class)) {
        SessionGatewayException error =
            assertThrows(SessionGatewayException.class, () -> output(text).as(type));
        assertEquals("INVALID_RESPONSE", error.code());
      }
      assertEquals(text, output(text).text());
    }
    assertThrows(IllegalArgumentException.class, () -> output("{\"x\": \"far\"}").as(Point.class));
  }

  @Test
  void arraysOfNumbersAreSentAsTheyAre() {
    assertEquals(
        "{\"a\":[1.0,-0.5]}", sent(RunParams.builder().input(Map.of("a", new double[] {1, -0.5}))));
  }

  private static JsonOutput output(String text) {
    return new JsonOutput(ByteString.copyFromUtf8(text), "", "", RunState.COMPLETED);
  }

  private static void refused(Object input) {
    RunParams.Builder builder = RunParams.builder();
    IllegalArgumentException error =
        assertThrows(IllegalArgumentException.class, () -> builder.input(input));
    assertTrue(error.getMessage().startsWith("the input "), error.getMessage());
  }

  private static String sent(RunParams.Builder builder) {
    return builder.app("kv").build().request().getInputJson().toStringUtf8();
  }
}
