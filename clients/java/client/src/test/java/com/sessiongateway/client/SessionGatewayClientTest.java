package com.sessiongateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sessiongateway.client.errors.SessionGatewayException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class SessionGatewayClientTest {
  // Nobody listens there, and nobody has to.
  private final SessionGatewayClient client =
      SessionGatewayClient.builder().address("127.0.0.1:1").build();

  @AfterEach
  void close() {
    client.close();
  }

  @Test
  void closingTheClientEndsWhatWaitsForNews() {
    KeepaliveStream stream = client.keepalive(List.of("a"));
    Session session = client.session("kv");
    CompletableFuture<SessionGatewayException> lost = session.lost();
    client.close();
    assertFalse(stream.hasNext());
    assertThrows(CancellationException.class, lost::get);
    assertTrue(session.lost().isCancelled());
  }

  @Test
  void aClosedClientBeginsNothing() {
    client.close();
    assertThrows(IllegalStateException.class, () -> client.keepalive(List.of("a")));
    assertThrows(IllegalStateException.class, () -> client.session("kv"));
    assertThrows(IllegalStateException.class, () -> client.sessions().watch());
    assertThrows(IllegalStateException.class, () -> client.sessions().get("a"));
    client.close();
  }

  @Test
  void anAddressThatIsAUrlIsRefused() {
    for (String address :
        List.of("http://127.0.0.1:50151", "https://gateway:443/", "HTTP://gateway:1")) {
      SessionGatewayClient.Builder builder = SessionGatewayClient.builder().address(address);
      String message = assertThrows(IllegalArgumentException.class, builder::build).getMessage();
      assertTrue(message.startsWith("the address of a gateway is HOST:PORT, not a URL"), message);
    }
    SessionGatewayClient.builder().address("dns:///gateway:1").build().close();
  }

  @Test
  void anAppThatIsNullIsNamed() {
    for (Executable request :
        List.<Executable>of(
            () -> client.run(run -> run.app(null)),
            () -> client.session(null),
            () -> client.apps().get(null))) {
      assertEquals("app is null", assertThrows(NullPointerException.class, request).getMessage());
    }
  }

  @Test
  void whatComesTooLateToBeClosedWithTheClientIsClosedAtOnce() {
    OpenStreams streams = new OpenStreams();
    streams.close();
    List<Object> closed = new ArrayList<>();
    assertThrows(IllegalStateException.class, () -> streams.add("late", String.class, closed::add));
    assertTrue(closed.contains("late"));
  }
}
