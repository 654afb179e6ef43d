package com.sessiongateway.client.live;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sessiongateway.client.SessionGatewayClient;
import com.sessiongateway.client.SessionInfo;
import com.sessiongateway.client.errors.UnavailableException;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Several gateways behind one name. Each has records of its own, so that its sessions tell which
 * calls came to it.
 */
class SeveralLiveTest {
  // What the file "hosts" beside the tests says that the name stands for.
  private static final List<String> HOSTS = List.of("127.0.0.1", "127.0.0.2", "127.0.0.3");
  private static final String NAME = "gateways.test";

  private final List<Gateway> gateways = new ArrayList<>();
  private final List<SessionGatewayClient> single = new ArrayList<>();
  private SessionGatewayClient client;

  @BeforeEach
  void start() throws IOException {
    String port = "0";
    for (String host : HOSTS) {
      Gateway gateway = Gateway.start(host + ":" + port, Files.createTempDirectory("sgw"));
      gateways.add(gateway);
      single.add(gateway.client());
      port = gateway.address().substring(gateway.address().lastIndexOf(':') + 1);
    }
    String address = "dns:///" + NAME + ":" + port;
    client = SessionGatewayClient.builder().address(address).apiKey("").build();
  }

  @AfterEach
  void stop() throws IOException {
    if (client != null) {
      client.close();
    }
    single.forEach(SessionGatewayClient::close);
    for (Gateway gateway : gateways) {
      gateway.close();
    }
  }

  @Test
  void callsGoRoundAmongThemAndGoOnWhenOneDies() throws Exception {
    while (Collections.min(opened()) == 0) {
      open();
    }
    List<Integer> before = opened();
    for (int i = 0; i < 9; i++) {
      open();
    }
    assertEquals(before.stream().map(count -> count + 3).toList(), opened());

    gateways.get(1).kill();
    int cut = 0;
    for (int i = 0; i < 12; i++) {
      assertEquals("kv", client.apps().get("kv").name());
      try {
        open();
      } catch (UnavailableException lost) {
        cut++;
      }
    }
    assertTrue(cut <= 1, "only one call can have been on its way to the one that died: " + cut);

    Gateway dead = gateways.get(1);
    gateways.set(1, Gateway.start(dead.address(), dead.directory()));
    int first = opened().get(1);
    while (opened().get(1) == first) {
      open();
    }
  }

  private void open() {
    client.run(run -> run.app("kv").function("keys").session("new"));
  }

  private List<Integer> opened() {
    List<Integer> counts = new ArrayList<>();
    for (SessionGatewayClient each : single) {
      int count = 0;
      for (SessionInfo session : each.sessions().list()) {
        assertEquals("kv", session.app());
        count++;
      }
      counts.add(count);
    }
    return counts;
  }
}
