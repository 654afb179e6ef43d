package com.sessiongateway.client;

import java.time.Duration;

/**
 * Waiting times that double with each attempt.
 *
 * @param initial the first step
 * @param maximum the longest
 */
record Backoff(Duration initial, Duration maximum) {

  /**
   * Returns the wait after attempt 0, 1, ...: between half and all of its step, as random (0 to 1)
   * says.
   */
  Duration delay(int attempt, double random) {
    // The exponent is bounded because a stream may reconnect for weeks.
    double grown = initial.toNanos() * Math.pow(2, Math.min(attempt, 64));
    double step = Math.min((double) maximum.toNanos(), grown);
    return Duration.ofNanos((long) (step * (0.5 + random / 2)));
  }
}
