package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/**
 * What a request has, with all its attempts: a deadline, or none, and the context of whoever asked
 * for it, whose end cancels it.
 */
record Budget(@Nullable Deadline deadline, Context context) {
  // More than that makes no difference, and would not fit into nanoseconds.
  private static final Duration LONGEST = Duration.ofDays(36_500);

  /** Begins to count now, and ends with the present context at the latest; null never ends. */
  static Budget start(@Nullable Duration timeout, Timer timer) {
    Context context = Context.current();
    Deadline end = context.getDeadline();
    Duration shortest = timeout;
    if (end != null) {
      Duration left = Duration.ofNanos(end.timeRemaining(TimeUnit.NANOSECONDS));
      shortest = timeout == null || left.compareTo(timeout) < 0 ? left : timeout;
    }
    return new Budget(shortest == null ? null : deadline(shortest, timer), context);
  }

  /** Returns a budget without an end that belongs to no caller. */
  static Budget background() {
    return new Budget(null, Context.ROOT);
  }

  /** Returns what is left, negative when it has passed; null if there is no end. */
  @Nullable Duration remaining() {
    return deadline == null ? null : Duration.ofNanos(deadline.timeRemaining(TimeUnit.NANOSECONDS));
  }

  /**
   * Fails what a run waits for before it is sent when the context ends; the deadline is not seen
   * to.
   */
  void limit(CompletableFuture<?> wait) {
    Context.CancellationListener listener = ended -> wait.completeExceptionally(unsent(ended));
    context.addListener(listener, Runnable::run);
    wait.whenComplete((value, error) -> context.removeListener(listener));
  }

  private static SessionGatewayException unsent(Context ended) {
    return ended.cancellationCause() instanceof TimeoutException
        ? Errors.transport(
            Status.Code.DEADLINE_EXCEEDED,
            "the deadline of the context passed before the run was sent",
            RunState.NOT_STARTED)
        : Operation.cancelled(
            "the context was cancelled before the run was sent", RunState.NOT_STARTED);
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
