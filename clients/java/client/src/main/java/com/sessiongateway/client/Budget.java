package com.sessiongateway.client;

import io.grpc.Context;
import io.grpc.Deadline;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * What a request has, with all its attempts: a deadline, or none, and the context of whoever asked
 * for it, whose end cancels it.
 */
record Budget(@Nullable Deadline deadline, Context context) {
  // More than that makes no difference, and would not fit into nanoseconds.
  private static final Duration LONGEST = Duration.ofDays(36_500);

  /** Begins to count now; null never ends. */
  static Budget start(@Nullable Duration timeout, Timer timer) {
    return new Budget(timeout == null ? null : deadline(timeout, timer), Context.current());
  }

  /** Returns a budget without an end that belongs to no caller. */
  static Budget background() {
    return new Budget(null, Context.ROOT);
  }

  /** Returns what is left, negative when it has passed; null if there is no end. */
  @Nullable Duration remaining() {
    return deadline == null ? null : Duration.ofNanos(deadline.timeRemaining(TimeUnit.NANOSECONDS));
  }

  private static Deadline deadline(Duration timeout, Timer timer) {
    Duration bounded = timeout.compareTo(LONGEST) > 0 ? LONGEST : timeout;
    if (timer instanceof SystemTimer) {
      return Deadline.after(bounded.toNanos(), TimeUnit.NANOSECONDS);
    }
    return Deadline.after(bounded.toNanos(), TimeUnit.NANOSECONDS, new TimerTicker(timer));
  }

  private static final class TimerTicker extends Deadline.Ticker {
    private final Timer timer;

    TimerTicker(Timer timer) {
      this.timer = timer;
    }

    @Override
    public long nanoTime() {
      return timer.nanoTime();
    }
  }
}
