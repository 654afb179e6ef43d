package com.sessiongateway.client;

import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * How a session is held; filled in by a lambda that is given to {@link
 * SessionGatewayClient#session}.
 */
public final class SessionOptions {
  @Nullable Integer sessionTimeout;
  boolean keepalive;
  @Nullable Duration timeout;

  SessionOptions() {}

  /**
   * Sets the idle timeout, in whole seconds from 1 to 3600. Left out: 60.
   *
   * @throws IllegalArgumentException it is not in whole seconds
   */
  public SessionOptions sessionTimeout(Duration sessionTimeout) {
    this.sessionTimeout = RunParams.wholeSeconds(sessionTimeout);
    return this;
  }

  /** Sets whether the session is renewed by itself for as long as it is held. */
  public SessionOptions keepalive(boolean keepalive) {
    this.keepalive = keepalive;
    return this;
  }

  /** Sets how long each of its requests may take, where a call does not say itself. */
  public SessionOptions timeout(Duration timeout) {
    this.timeout = timeout;
    return this;
  }
}
