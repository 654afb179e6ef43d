package com.sessiongateway.example;

import com.fasterxml.jackson.databind.JsonNode;
import com.sessiongateway.client.JsonOutput;
import com.sessiongateway.client.RunStream;
import com.sessiongateway.client.Session;
import com.sessiongateway.client.SessionGatewayClient;
import com.sessiongateway.client.SessionInfo;
import com.sessiongateway.client.SessionStatus;
import com.sessiongateway.client.errors.AppErrorException;
import com.sessiongateway.client.errors.SessionEndedException;
import com.sessiongateway.client.errors.SessionGatewayException;
import java.math.BigInteger;
import java.time.Duration;
import java.util.Map;

/** Plays with the example apps: start "make serve" first. */
public final class Example {
  private Example() {}

  /** Runs it; SGW_ADDRESS and SGW_API_KEY say where. */
  public static void main(String[] arguments) {
    try (SessionGatewayClient client =
        SessionGatewayClient.builder().timeout(Duration.ofSeconds(30)).build()) {
      plainCall(client);
      keyValues(client);
      interpreter(client);
      rows(client);
    } catch (SessionGatewayException error) {
      System.err.println(error.getMessage() + " (run state: " + error.runStateName() + ")");
      System.exit(1);
    }
  }

  private static void plainCall(SessionGatewayClient client) {
    // On any worker, which others use too: rely on nothing that it keeps.
    System.out.println("any worker: " + client.run(run -> run.app("kv").function("keys")).output());
  }

  private static void keyValues(SessionGatewayClient client) {
    try (Session session =
        client.session(
            "kv", options -> options.sessionTimeout(Duration.ofMinutes(5)).keepalive(true))) {
      BigInteger large = new BigInteger("123456789012345678901234567890");
      session.call("set_value", Map.of("key", "größe", "value", large));
      JsonNode answer = session.call("get_value", Map.of("key", "größe")).output().tree();
      System.out.println("kept exactly: " + answer.path("value").bigIntegerValue());

      for (SessionInfo info :
          client.sessions().list(query -> query.app("kv").status(SessionStatus.ACTIVE))) {
        System.out.println(
            info.id() + " has had " + info.callCount() + " calls, expires in " + info.expiresIn());
      }

      client.sessions().end(String.valueOf(session.id()));
      try {
        session.call("get_value", Map.of("key", "größe"));
      } catch (SessionEndedException gone) {
        System.out.println("its state is gone: " + gone.endReason() + ", " + gone.runState());
      }
    }
  }

  private static void interpreter(SessionGatewayClient client) {
    try (Session session = client.session("interpreter")) {
      session.call(run -> run.input(Map.of("code", "x = 6")));
      JsonNode cell = session.call(run -> run.input(Map.of("code", "x * 7"))).output().tree();
      System.out.println("x is still there: x * 7 = " + cell.path("result").asText());
      session.call("read_file", Map.of("path", "no-such-file"));
    } catch (AppErrorException error) {
      System.out.println("the app raised: " + error.appFailure());
    }
  }

  private static void rows(SessionGatewayClient client) {
    String sql =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n";
    try (RunStream stream =
        client.runStream(
            run -> run.app("sql").function("rows").input(Map.of("sql", sql, "batch_rows", 2)))) {
      while (stream.hasNext()) {
        JsonOutput batch = stream.next();
        System.out.println("a batch: " + batch.tree().path("rows"));
      }
      System.out.println("in all: " + stream.result().output());
    }
  }
}
