package com.sessiongateway.client.live;

import com.sessiongateway.client.SessionGatewayClient;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A real gateway with the example apps, and with one that fails in every way. */
final class Gateway implements AutoCloseable {
  private final Path directory;
  private final Process process;
  private final String address;

  private Gateway(Path directory, Process process, String address) {
    this.directory = directory;
    this.process = process;
    this.address = address;
  }

  /** Starts one on a free port. */
  static Gateway start() throws IOException {
    return start("127.0.0.1:0", Files.createTempDirectory("sgw"));
  }

  /** Starts one where another has been. */
  static Gateway start(String address, Path directory) throws IOException {
    Path tree = tree();
    String set = System.getenv("SGW_COMMAND");
    String program = set == null ? tree.resolve(".venv/bin/sgw").toString() : set;
    List<String> command = new ArrayList<>(List.of(program, "serve", "--listen", address));
    command.addAll(List.of("--data-dir", directory.resolve("data").toString()));
    for (String app : List.of("kv", "sql", "interpreter")) {
      command.addAll(List.of("--app", app + "=" + tree.resolve("examples").resolve(app)));
    }
    command.addAll(List.of("--app", "probe=" + tree.resolve("tests/scenarios/probe")));
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(directory.resolve("log").toFile());
    // Each would be a setting, and one that the gateway does not know stops it.
    builder.environment().keySet().removeIf(name -> name.startsWith("SGW_"));
    Process process = builder.start();
    // Not closed: the gateway would have nowhere to write to.
    BufferedReader output = new BufferedReader(process.inputReader(StandardCharsets.UTF_8));
    String line = output.readLine();
    if (line == null || !line.startsWith("listening on ")) {
      process.destroyForcibly();
      throw new IOException("no gateway: " + Files.readString(directory.resolve("log")));
    }
    return new Gateway(directory, process, line.substring("listening on ".length()).strip());
  }

  String address() {
    return address;
  }

  Path directory() {
    return directory;
  }

  SessionGatewayClient client() {
    return SessionGatewayClient.builder().address(address).apiKey("").build();
  }

  /** Ends the process by a signal that it cannot see. */
  void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  @Override
  public void close() throws IOException {
    process.destroy();
    try {
      process.onExit().orTimeout(20, TimeUnit.SECONDS).join();
    } catch (CompletionException late) {
      process.destroyForcibly().onExit().join();
    }
    if (!Files.exists(directory)) {
      // Its successor has cleaned up.
      return;
    }
    try (Stream<Path> files = Files.walk(directory)) {
      files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
    }
  }

  private static Path tree() {
    Path folder = Path.of("").toAbsolutePath();
    while (!Files.exists(folder.resolve("proto"))) {
      folder = folder.getParent();
    }
    return folder;
  }
}
