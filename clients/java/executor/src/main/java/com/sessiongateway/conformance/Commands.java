package com.sessiongateway.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sessiongateway.client.RunParams;
import com.sessiongateway.client.Session;
import com.sessiongateway.client.SessionGatewayClient;
import com.sessiongateway.client.SessionInfo;
import com.sessiongateway.client.SessionStatus;
import com.sessiongateway.client.Sessions;
import com.sessiongateway.client.errors.SessionGatewayException;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * Carries out commands: what the client does without waiting at once, the rest on threads of their
 * own.
 */
final class Commands {
  private final Map<String, SessionGatewayClient> clients = new ConcurrentHashMap<>();
  private final Map<String, Session> handles = new ConcurrentHashMap<>();
  private final StreamCommands streams = new StreamCommands(this);

  /** Begins a command; throws UnsupportedOperationException if there is no such one. */
  CompletableFuture<JsonNode> begin(JsonNode command) {
    return switch (command.path("op").asText()) {
      case "connect" -> done(() -> connect(command));
      case "close" -> waiting(() -> nothing(taken(clients, command, "client")::close));
      case "run" -> map(client(command).runAsync(params(command)), Answers::result);
      case "get" -> session(command, Sessions::getAsync, Sessions::getAsync);
      case "keepalive" -> session(command, Sessions::keepaliveAsync, Sessions::keepaliveAsync);
      case "end" -> session(command, Sessions::endAsync, Sessions::endAsync);
      case "list" -> waiting(() -> list(command));
      case "get_app" ->
          map(
              client(command).apps().getAsync(text(command, "app")),
              app -> Answers.object().set("app", Answers.app(app)));
      case "list_apps" -> waiting(() -> listApps(command));
      case "raw_run" -> waiting(() -> RawRun.run(command));
      default -> beginHandle(command);
    };
  }

  /** Closes everything. */
  void close() {
    streams.close();
    for (Session handle : handles.values()) {
      try {
        handle.close();
      } catch (SessionGatewayException gone) {
        System.err.println("a session could not be ended: " + gone);
      }
    }
    clients.values().forEach(SessionGatewayClient::close);
  }

  private CompletableFuture<JsonNode> beginHandle(JsonNode command) {
    return switch (command.path("op").asText()) {
      case "handle_open" -> done(() -> openHandle(command));
      case "handle_call" ->
          map(found(handles, command, "handle").callAsync(params(command)), Answers::result);
      case "handle_lost" -> waiting(() -> lost(command));
      case "handle_close" -> session(taken(handles, command, "handle").endAsync());
      default -> streams.begin(command);
    };
  }

  private void connect(JsonNode command) {
    SessionGatewayClient.Builder builder =
        SessionGatewayClient.builder().address(text(command, "address"));
    // Its own settings only: an executor takes nothing from the environment.
    builder.apiKey(command.path("api_key").asText(""));
    if (command.hasNonNull("timeout")) {
      builder.timeout(timeout(command));
    }
    JsonNode tls = command.path("tls");
    if (tls.isObject()) {
      try {
        TlsChannelCredentials.Builder credentials =
            TlsChannelCredentials.newBuilder().trustManager(new File(text(tls, "ca")));
        if (tls.hasNonNull("cert")) {
          credentials.keyManager(new File(text(tls, "cert")), new File(text(tls, "key")));
        }
        builder.credentials(credentials.build());
      } catch (IOException unreadable) {
        throw new UncheckedIOException(unreadable);
      }
    }
    clients.put(text(command, "client"), builder.build());
  }

  private JsonNode list(JsonNode command) {
    ObjectNode answer = Answers.object();
    ArrayNode sessions = answer.putArray("sessions");
    client(command)
        .sessions()
        .list(
            query -> {
              if (command.hasNonNull("status")) {
                String status = text(command, "status").toUpperCase(Locale.ROOT);
                query.status(SessionStatus.valueOf(status));
              }
              if (command.hasNonNull("app")) {
                query.app(text(command, "app"));
              }
              query.pageSize(command.path("page_size").asInt());
            })
        .forEach(info -> sessions.add(Answers.session(info)));
    return answer;
  }

  private JsonNode listApps(JsonNode command) {
    ObjectNode answer = Answers.object();
    ArrayNode apps = answer.putArray("apps");
    client(command)
        .apps()
        .list(command.path("page_size").asInt())
        .forEach(app -> apps.addObject().put("name", app.name()).put("version", app.version()));
    return answer;
  }

  private void openHandle(JsonNode command) {
    Session handle =
        client(command)
            .session(
                text(command, "app"),
                options -> {
                  if (command.hasNonNull("session_timeout")) {
                    options.sessionTimeout(
                        Duration.ofSeconds(command.path("session_timeout").asLong()));
                  }
                  options.keepalive(command.path("keepalive").asBoolean(false));
                });
    handles.put(text(command, "handle"), handle);
  }

  private JsonNode lost(JsonNode command) throws Exception {
    try {
      SessionGatewayException reason =
          found(handles, command, "handle")
              .lost()
              .get((long) (command.path("timeout").asDouble() * 1e9), TimeUnit.NANOSECONDS);
      return Answers.object().set("error", Answers.error(reason));
    } catch (TimeoutException quiet) {
      return Answers.object().put("timeout", true);
    }
  }

  static RunParams params(JsonNode command) {
    RunParams.Builder builder = RunParams.builder();
    Params.fill(builder, command.path("params"));
    // Those of a handle's call stand in the command itself.
    if (command.path("op").asText().startsWith("handle")) {
      Params.fill(builder, command);
    }
    if (command.hasNonNull("input")) {
      builder.inputJson(text(command, "input"));
    }
    if (command.hasNonNull("timeout")) {
      builder.timeout(timeout(command));
    }
    return builder.build();
  }

  SessionGatewayClient client(JsonNode command) {
    return found(clients, command, "client");
  }

  private static String id(JsonNode command) {
    return text(command, "session_id");
  }

  static String text(JsonNode command, String field) {
    if (!command.path(field).isTextual()) {
      throw new IllegalArgumentException(field + " must be a text");
    }
    return command.path(field).asText();
  }

  static Duration timeout(JsonNode command) {
    JsonNode seconds = command.path("timeout");
    return seconds.isNumber() ? Duration.ofNanos((long) (seconds.asDouble() * 1e9)) : null;
  }

  static <T> T found(Map<String, T> things, JsonNode command, String field) {
    T thing = things.get(text(command, field));
    if (thing == null) {
      throw new IllegalArgumentException("no " + field + " has the name " + text(command, field));
    }
    return thing;
  }

  static <T> T taken(Map<String, T> things, JsonNode command, String field) {
    T thing = found(things, command, field);
    things.remove(text(command, field));
    return thing;
  }

  private CompletableFuture<JsonNode> session(
      JsonNode command,
      BiFunction<Sessions, String, CompletableFuture<SessionInfo>> untimed,
      Timed timed) {
    Sessions sessions = client(command).sessions();
    Duration timeout = timeout(command);
    return session(
        timeout == null
            ? untimed.apply(sessions, id(command))
            : timed.send(sessions, id(command), timeout));
  }

  /** A request about a session within a time of its own. */
  @FunctionalInterface
  private interface Timed {
    CompletableFuture<SessionInfo> send(Sessions sessions, String sessionId, Duration timeout);
  }

  private static CompletableFuture<JsonNode> session(CompletableFuture<SessionInfo> future) {
    return map(future, info -> Answers.object().set("session", Answers.session(info)));
  }

  /** Returns the answer of a future, whose cancellation cancels that. */
  private static <T> CompletableFuture<JsonNode> map(
      CompletableFuture<T> future, Function<T, JsonNode> answer) {
    CompletableFuture<JsonNode> mapped = future.thenApply(answer);
    mapped.whenComplete((value, error) -> future.cancel(false));
    return mapped;
  }

  static CompletableFuture<JsonNode> done(Runnable action) {
    return CompletableFuture.completedFuture(nothing(action));
  }

  static JsonNode nothing(Runnable action) {
    action.run();
    return Answers.object();
  }

  static CompletableFuture<JsonNode> waiting(Callable<JsonNode> action) {
    Waiting waiting = new Waiting(action);
    waiting.thread.start();
    return waiting;
  }

  /** A command on a thread of its own. */
  static final class Waiting extends CompletableFuture<JsonNode> {
    private final Thread thread;

    Waiting(Callable<JsonNode> action) {
      thread =
          new Thread(
              () -> {
                try {
                  complete(action.call());
                } catch (Exception | Error failure) {
                  completeExceptionally(failure);
                }
              });
      thread.setDaemon(true);
    }

    void interrupt() {
      thread.interrupt();
    }
  }
}
