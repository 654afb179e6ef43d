package com.sessiongateway.client;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.DoubleSupplier;

/**
 * Every wait that the client takes by itself; tests bring their own.
 *
 * @param timer tells and passes the time
 * @param random numbers from 0 to 1, which spread the waits of many clients
 * @param drainAttempts how often a run is sent at most, when every answer is that nothing was taken
 * @param drain between these, if the gateway does not ask for more
 * @param reconnect before a broken stream is opened again; its maximum is far below the usual
 *     session timeout of 60 s
 * @param replyTimeout without an answer for so long, a keepalive stream counts as broken: a host
 *     that vanished says nothing
 * @param watchTimeout after so much silence a watch counts as broken: a gateway sends something
 *     every 30 s at least
 * @param endTimeout what leaving a session handle may take to end the session, if the handle has no
 *     timeout of its own
 * @param statusWait for the status behind a result: without it the gateway would take the call for
 *     one that its caller has left
 */
record Pacing(
    Timer timer,
    DoubleSupplier random,
    int drainAttempts,
    Backoff drain,
    Backoff reconnect,
    Duration replyTimeout,
    Duration watchTimeout,
    Duration endTimeout,
    Duration statusWait) {

  /** Returns what suits programs. */
  static Pacing standard() {
    return of(new SystemTimer(), () -> ThreadLocalRandom.current().nextDouble());
  }

  /** Returns the same waits by another clock and other dice. */
  static Pacing of(Timer timer, DoubleSupplier random) {
    return new Pacing(
        timer,
        random,
        4,
        new Backoff(Duration.ofMillis(200), Duration.ofSeconds(5)),
        new Backoff(Duration.ofMillis(100), Duration.ofSeconds(5)),
        Duration.ofSeconds(10),
        Duration.ofSeconds(100),
        Duration.ofSeconds(10),
        Duration.ofSeconds(1));
  }
}
