package com.sessiongateway.client.live;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sessiongateway.client.KeepaliveEvent;
import com.sessiongateway.client.KeepaliveStream;
import com.sessiongateway.client.RunResult;
import com.sessiongateway.client.RunStream;
import com.sessiongateway.client.Session;
import com.sessiongateway.client.SessionGatewayClient;
import com.sessiongateway.client.SessionInfo;
import com.sessiongateway.client.SessionStatus;
import com.sessiongateway.client.WatchEvent;
import com.sessiongateway.client.WatchStream;
import com.sessiongateway.client.errors.AppErrorException;
import com.sessiongateway.client.errors.EndReason;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionEndedException;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.SessionNotFoundException;
import com.sessiongateway.client.errors.UnavailableException;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class SessionLiveTest {
  private static Gateway gateway;
  private static SessionGatewayClient client;

  @BeforeAll
  static void start() throws IOException {
    gateway = Gateway.start();
    client = gateway.client();
  }

  @AfterAll
  static void stop() throws Exception {
    client.close();
    gateway.close();
  }

  @Test
  void aHandleOpensWithItsFirstCallAndEndsWhenItIsClosed() {
    String id;
    try (Session session =
        client.session("kv", options -> options.sessionTimeout(Duration.ofSeconds(90)))) {
      assertNull(session.id());
      session.call("set_value", Map.of("key", "a", "value", 1));
      RunResult result = session.call("get_value", Map.of("key", "a"));
      assertEquals(1, result.output().tree().path("value").asInt());
      id = result.sessionId();
      assertEquals(id, session.id());
      SessionInfo info = session.info();
      assertNotNull(info);
      assertEquals(2, info.callCount());
      assertEquals(Duration.ofSeconds(90), info.sessionTimeout());
      assertEquals(SessionStatus.ACTIVE, info.status());
    }
    SessionInfo ended = client.sessions().get(id);
    assertEquals(SessionStatus.ENDED, ended.status());
    assertEquals(EndReason.CALLER, ended.endReason());
  }

  @Test
  void callsThatComeTogetherOpenOneSession() throws Exception {
    try (Session session = client.session("probe")) {
      List<CompletableFuture<RunResult>> calls =
          List.of(
              session.callAsync(run -> {}),
              session.callAsync(run -> {}),
              session.callAsync(run -> {}));
      String id = calls.get(0).get().sessionId();
      for (CompletableFuture<RunResult> call : calls) {
        assertEquals(id, call.get().sessionId());
      }
    }
  }

  @Test
  void aFirstCallThatFailsLeavesNoSession() {
    try (Session session = client.session("probe")) {
      AppErrorException error =
          assertThrows(AppErrorException.class, () -> session.call("fail", Map.of()));
      assertEquals(EndReason.FIRST_CALL_FAILED, error.endReason());
      assertNull(session.id());
      assertNotEquals(error.sessionId(), session.call("whoami").sessionId());
    }
  }

  @Test
  void aStreamOpensASessionWithItsResult() {
    try (Session session = client.session("probe")) {
      try (RunStream stream =
          session.stream(run -> run.function("count").input(Map.of("steps", 2)))) {
        stream.next();
        assertThrows(IllegalStateException.class, () -> session.call("whoami"));
        assertEquals(stream.finish().sessionId(), session.id());
      }
      assertEquals(session.id(), session.call("whoami").sessionId());
    }
  }

  @Test
  void aStreamThatIsClosedEarlyLetsOthersOpenTheSession() {
    try (Session session = client.session("probe")) {
      try (RunStream stream =
          session.stream(run -> run.function("count").input(Map.of("steps", 2)))) {
        stream.next();
      }
      assertNotNull(session.call("whoami").sessionId());
    }
  }

  @Test
  void aLostSessionIsSurfacedWithItsReason() throws Exception {
    try (Session session = client.session("probe", options -> options.keepalive(true))) {
      String id = session.call("whoami").sessionId();
      client.sessions().end(id);
      SessionGatewayException lost = session.lost().get(60, TimeUnit.SECONDS);
      assertEquals("SESSION_ENDED", lost.code());
      SessionEndedException error =
          assertThrows(SessionEndedException.class, () -> session.call("whoami"));
      assertEquals(RunState.NOT_STARTED, error.runState());
      assertEquals(EndReason.CALLER, error.endReason());
      assertEquals(id, error.sessionId());
    }
  }

  @Test
  void oneDeadSessionOnAKeepaliveStreamDoesNotDisturbTheOthers() {
    String good = client.run(run -> run.app("kv").session("new")).sessionId();
    try (KeepaliveStream stream = client.keepalive(List.of(good, "sess_" + "a".repeat(26)))) {
      boolean isRenewed = false;
      boolean isLost = false;
      while (!isRenewed || !isLost) {
        KeepaliveEvent event = stream.next();
        isRenewed |= event.session() != null && event.sessionId().equals(good);
        isLost |= event.error() instanceof SessionNotFoundException;
      }
    }
    assertEquals(SessionStatus.ENDED, client.sessions().end(good).status());
  }

  @Test
  void listsGoOverAllPages() {
    try (SessionGatewayClient other =
        SessionGatewayClient.builder().address(gateway.address()).apiKey("key-of-lists").build()) {
      for (int round = 0; round < 5; round++) {
        other.run(run -> run.app("kv").session("new"));
      }
      List<String> ids =
          other
              .sessions()
              .list(query -> query.pageSize(2).status(SessionStatus.ACTIVE).app("kv"))
              .stream()
              .map(SessionInfo::id)
              .toList();
      assertEquals(5, ids.size());
      assertThrows(SessionNotFoundException.class, () -> client.sessions().get(ids.get(0)));
      ids.forEach(other.sessions()::end);
    }
  }

  @Test
  void appsTellWhatCanBeCalled() {
    List<String> names = client.apps().list(1).stream().map(app -> app.name()).toList();
    assertEquals(List.of("interpreter", "kv", "probe", "sql"), names);
    assertTrue(
        client.apps().get("sql").functions().stream()
            .anyMatch(function -> function.name().equals("rows") && function.streams()));
  }

  @Test
  void sessionsAndWatchesOutliveAGatewayThatIsKilled() throws Exception {
    try (Gateway first = Gateway.start();
        SessionGatewayClient survivor = first.client();
        WatchStream watch = survivor.sessions().watch();
        Gate gate = new Gate()) {
      String id =
          survivor
              .run(
                  run ->
                      run.app("probe")
                          .function("remember")
                          .session("new")
                          .sessionTimeout(Duration.ofMinutes(5))
                          .input(Map.of("text", "kept")))
              .sessionId();
      assertEquals(WatchEvent.Kind.CREATED, watch.next().kind());
      CompletableFuture<RunResult> held =
          survivor.runAsync(
              run -> run.app("probe").function("hold").input(Map.of("gate", gate.path())));
      gate.arrival().close();
      // A gate that is gone lets its function go on.
      assertEquals("", held.get().output().tree().path("word").asText("missing"));
      CompletableFuture<RunResult> cut =
          survivor.runAsync(
              run ->
                  run.app("probe").function("hold").session(id).input(Map.of("gate", gate.path())));
      Gate.Arrival inFlight = gate.arrival();
      first.kill();
      Throwable error = cut.handle((result, failure) -> failure).get();
      UnavailableException broken = (UnavailableException) error;
      assertEquals(RunState.UNKNOWN, broken.runState());
      inFlight.letThrough();

      try (Gateway second = Gateway.start(first.address(), first.directory())) {
        RunResult recalled = survivor.run(run -> run.app("probe").function("recall").session(id));
        assertEquals("kept", recalled.output().tree().path("memory").asText());
        survivor.sessions().end(id);
        WatchEvent event = watch.next();
        assertEquals(WatchEvent.Kind.ENDED, event.kind());
        assertEquals(id, event.session() == null ? null : event.session().id());
        assertEquals(first.address(), second.address());
      }
    }
  }
}
