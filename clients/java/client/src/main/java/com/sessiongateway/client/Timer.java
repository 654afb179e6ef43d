package com.sessiongateway.client;

import java.time.Duration;

/** Tells and passes the time. What is scheduled runs one after another, on one thread. */
interface Timer extends AutoCloseable {

  /** Returns nanoseconds since some moment; never goes back. */
  long nanoTime();

  /** Runs an action after a while. It must not block. */
  Cancellation schedule(Duration delay, Runnable action);

  /** Runs an action as soon as those before it are done. It must not block. */
  default void execute(Runnable action) {
    schedule(Duration.ZERO, action);
  }

  /** Returns whether actions run before their time, because the client is closed. */
  boolean isClosed();

  /**
   * Lets what is scheduled, and what will be, run as soon as possible, so that nothing waits for it
   * for ever; on the same thread as ever. May be called twice.
   */
  @Override
  void close();

  /** Something that can be called off. */
  @FunctionalInterface
  interface Cancellation {
    /** Does nothing if it is too late. */
    void cancel();
  }
}
