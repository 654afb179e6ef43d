package com.sessiongateway.conformance;

import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The conformance executor: reads commands from standard input, one JSON object a line, carries
 * them out side by side, and writes an answer to each, one a line.
 */
public final class Main {
  static final JsonMapper MAPPER = new JsonMapper();

  static {
    MAPPER
        .getFactory()
        .setStreamReadConstraints(
            StreamReadConstraints.builder().maxStringLength(256 * 1024 * 1024).build());
  }

  private final PrintStream output;
  private final Commands commands = new Commands();
  private final Map<Long, Pending> pending = new ConcurrentHashMap<>();

  private Main(PrintStream output) {
    this.output = output;
  }

  /** Runs until the end of standard input. */
  public static void main(String[] arguments) throws IOException {
    PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    Main main = new Main(answers);
    try (BufferedReader input =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line = input.readLine(); line != null; line = input.readLine()) {
        if (!line.isBlank()) {
          main.begin(line);
        }
      }
    }
    main.pending.values().forEach(Pending::cancel);
    main.commands.close();
    // Threads of callers that wait for a future are no reason to stay.
    System.exit(0);
  }

  private void begin(String line) {
    JsonNode command;
    try {
      command = MAPPER.readTree(line);
    } catch (IOException malformed) {
      command = MAPPER.missingNode();
    }
    JsonNode id = command.path("id");
    if (!id.isIntegralNumber() || !command.path("op").isTextual()) {
      answer(id, null, Answers.code("UNSUPPORTED_COMMAND", "no command with an id and an op"));
      return;
    }
    if (command.path("op").asText().equals("cancel")) {
      Pending target = pending.get(command.path("target").asLong());
      if (target != null) {
        target.cancel();
      }
      answer(id, MAPPER.createObjectNode(), null);
      return;
    }
    CompletableFuture<JsonNode> result;
    try {
      result = commands.begin(command);
    } catch (RuntimeException refused) {
      result = CompletableFuture.failedFuture(refused);
    }
    CompletableFuture<JsonNode> begun = result;
    pending.put(id.asLong(), new Pending(begun));
    begun.whenComplete(
        (ok, error) -> {
          pending.remove(id.asLong());
          answer(id, ok, error == null ? null : Answers.error(unwrapped(error)));
        });
  }

  private void answer(JsonNode id, JsonNode ok, JsonNode error) {
    ObjectNode answer = MAPPER.createObjectNode();
    answer.set("id", id.isMissingNode() ? MAPPER.nullNode() : id);
    if (error == null) {
      answer.set("ok", ok);
    } else {
      answer.set("error", error);
    }
    synchronized (output) {
      output.print(answer + "\n");
      output.flush();
    }
  }

  private static Throwable unwrapped(Throwable error) {
    return error instanceof CompletionException && error.getCause() != null
        ? error.getCause()
        : error;
  }

  private record Pending(CompletableFuture<JsonNode> result) {
    void cancel() {
      // Commands that wait on a thread hear of it as an interrupt, and answer themselves.
      if (result instanceof Commands.Waiting waiting) {
        waiting.interrupt();
      } else {
        result.completeExceptionally(new CancellationException("cancelled by the runner"));
      }
    }
  }
}
