package com.sessiongateway.conformance;

import static com.sessiongateway.conformance.Commands.done;
import static com.sessiongateway.conformance.Commands.found;
import static com.sessiongateway.conformance.Commands.nothing;
import static com.sessiongateway.conformance.Commands.params;
import static com.sessiongateway.conformance.Commands.taken;
import static com.sessiongateway.conformance.Commands.text;
import static com.sessiongateway.conformance.Commands.timeout;
import static com.sessiongateway.conformance.Commands.waiting;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sessiongateway.client.KeepaliveEvent;
import com.sessiongateway.client.KeepaliveStream;
import com.sessiongateway.client.RunResult;
import com.sessiongateway.client.RunStream;
import com.sessiongateway.client.SessionGatewayClient;
import com.sessiongateway.client.WatchEvent;
import com.sessiongateway.client.WatchStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;

/** Carries out the commands about streams, watches and renewals. */
final class StreamCommands {
  private final Commands commands;
  private final Map<String, Stream> streams = new ConcurrentHashMap<>();
  private final Map<String, WatchStream> watches = new ConcurrentHashMap<>();
  private final Map<String, KeepaliveStream> keepalives = new ConcurrentHashMap<>();

  StreamCommands(Commands commands) {
    this.commands = commands;
  }

  /** Begins a command; throws UnsupportedOperationException if there is no such one. */
  CompletableFuture<JsonNode> begin(JsonNode command) {
    return switch (command.path("op").asText()) {
      case "stream_open" ->
          done(
              () -> {
                RunStream parts = client(command).runStream(params(command));
                streams.put(text(command, "stream"), new Stream(parts));
              });
      case "stream_next" -> waiting(found(streams, command, "stream")::next);
      case "stream_close" -> done(() -> taken(streams, command, "stream").parts.close());
      case "watch_open" -> waiting(() -> nothing(() -> openWatch(command)));
      case "watch_next" -> waiting(() -> nextEvent(command));
      case "watch_close" ->
          waiting(
              () -> {
                WatchStream watch = taken(watches, command, "watch");
                watch.close();
                return Answers.object().put("resume_token", watch.resumeToken());
              });
      case "keepalive_open" -> done(() -> openKeepalive(command));
      case "keepalive_next" -> waiting(() -> nextRenewal(command));
      case "keepalive_close" -> done(() -> taken(keepalives, command, "stream").close());
      default -> throw new UnsupportedOperationException("no op " + command.path("op"));
    };
  }

  /** Closes everything. */
  void close() {
    streams.values().forEach(stream -> stream.parts.close());
    watches.values().forEach(WatchStream::close);
    keepalives.values().forEach(KeepaliveStream::close);
  }

  private void openWatch(JsonNode command) {
    WatchStream watch =
        client(command)
            .sessions()
            .watch(
                options ->
                    options
                        .resumeToken(command.path("resume_token").asText(""))
                        .app(command.path("app").asText("")));
    watches.put(text(command, "watch"), watch);
  }

  private JsonNode nextEvent(JsonNode command) {
    WatchStream watch = found(watches, command, "watch");
    Duration timeout = timeout(command);
    WatchEvent event = timeout == null ? watch.next() : watch.poll(timeout);
    if (event == null) {
      return Answers.object().put("timeout", true);
    }
    ObjectNode answer = Answers.object().put("event", event.kindName());
    answer.set("session", Answers.session(event.session()));
    return answer.put("resume_token", event.resumeToken());
  }

  private void openKeepalive(JsonNode command) {
    List<String> ids = new ArrayList<>();
    command.path("session_ids").forEach(each -> ids.add(each.asText()));
    keepalives.put(text(command, "stream"), client(command).keepalive(ids));
  }

  private JsonNode nextRenewal(JsonNode command) {
    KeepaliveStream stream = found(keepalives, command, "stream");
    Duration timeout = timeout(command);
    KeepaliveEvent event =
        timeout != null ? stream.poll(timeout) : stream.hasNext() ? stream.next() : null;
    if (event == null) {
      return Answers.object().put(stream.isOver() ? "end" : "timeout", true);
    }
    ObjectNode answer = Answers.object().put("session_id", event.sessionId());
    if (event.error() != null) {
      return answer.set("error", Answers.error(event.error()));
    }
    return answer.set("session", Answers.session(event.session()));
  }

  private SessionGatewayClient client(JsonNode command) {
    return commands.client(command);
  }

  /** A streamed run and how far it was read. */
  private static final class Stream {
    private final RunStream parts;
    private boolean isTold;

    Stream(RunStream parts) {
      this.parts = parts;
    }

    synchronized JsonNode next() {
      if (isTold) {
        return Answers.object().put("end", true);
      }
      if (parts.hasNext()) {
        return Answers.object().put("partial", parts.next().text());
      }
      RunResult result = parts.result();
      isTold = true;
      return Answers.object().set("result", Answers.result(result));
    }
  }
}
