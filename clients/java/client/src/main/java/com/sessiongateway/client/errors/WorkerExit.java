package com.sessiongateway.client.errors;

import java.io.Serializable;
import org.jspecify.annotations.Nullable;

/**
 * How a worker process ended. Both are null when it vanished unseen.
 *
 * @param exitCode 0 to 255
 * @param signal the signal that killed it, such as 9
 */
public record WorkerExit(@Nullable Integer exitCode, @Nullable Integer signal)
    implements Serializable {

  /** Decodes the protocol's message. */
  public static WorkerExit of(com.sessiongateway.v1.WorkerExit message) {
    return new WorkerExit(
        message.hasExitCode() ? message.getExitCode() : null,
        message.hasSignal() ? message.getSignal() : null);
  }
}
