package com.sessiongateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class BackoffTest {
  private final Backoff backoff = new Backoff(Duration.ofMillis(100), Duration.ofSeconds(5));

  @Test
  void waitsDoubleUpToTheMaximum() {
    assertEquals(Duration.ofMillis(100), backoff.delay(0, 1));
    assertEquals(Duration.ofMillis(400), backoff.delay(2, 1));
    assertEquals(Duration.ofSeconds(5), backoff.delay(6, 1));
    assertEquals(Duration.ofSeconds(5), backoff.delay(1_000_000, 1));
  }

  @Test
  void diceTakeAwayUpToAHalf() {
    assertEquals(Duration.ofMillis(50), backoff.delay(0, 0));
    assertEquals(Duration.ofMillis(75), backoff.delay(0, 0.5));
  }
}
