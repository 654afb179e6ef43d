package com.sessiongateway.client;

import java.time.Duration;
import java.util.Comparator;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/** The real one: a daemon thread, begun with the first action. */
final class SystemTimer implements Timer {
  private static final Logger LOG = Logger.getLogger("com.sessiongateway.client");

  // A gateway may ask for any pause; more than that would not fit into nanoseconds.
  private static final Duration LONGEST = Duration.ofDays(36_500);

  private final Set<Task> pending = ConcurrentHashMap.newKeySet();
  private volatile boolean isClosed;
  private final ScheduledThreadPoolExecutor executor =
      new ScheduledThreadPoolExecutor(
          1,
          action -> {
            Thread thread = new Thread(action, "sessiongateway-timer");
            thread.setDaemon(true);
            return thread;
          });

  SystemTimer() {
    executor.setRemoveOnCancelPolicy(true);
  }

  @Override
  public long nanoTime() {
    return System.nanoTime();
  }

  @Override
  public Cancellation schedule(Duration delay, Runnable action) {
    long nanos = delay.compareTo(LONGEST) > 0 ? LONGEST.toNanos() : Math.max(0, delay.toNanos());
    Task task = new Task(System.nanoTime() + nanos, action);
    pending.add(task);
    task.future = executor.schedule(task, nanos, TimeUnit.NANOSECONDS);
    if (isClosed) {
      executor.execute(
          () -> {
            drain();
            task.cancel();
          });
    }
    return task;
  }

  @Override
  public boolean isClosed() {
    return isClosed;
  }

  @Override
  public void close() {
    isClosed = true;
    executor.execute(this::drain);
    // Not shut down: what is still to come needs the same thread. It ends when there is nothing.
    executor.setKeepAliveTime(100, TimeUnit.MILLISECONDS);
    executor.allowCoreThreadTimeOut(true);
  }

  private void drain() {
    long now = System.nanoTime();
    pending.stream()
        .sorted(Comparator.comparingLong(task -> task.due - now))
        .forEach(
            task -> {
              task.run();
              task.cancel();
            });
  }

  private final class Task implements Runnable, Cancellation {
    private final long due;
    private final Runnable action;
    private volatile @Nullable Future<?> future;

    Task(long due, Runnable action) {
      this.due = due;
      this.action = action;
    }

    @Override
    public void run() {
      if (pending.remove(this)) {
        try {
          action.run();
        } catch (RuntimeException | Error failure) {
          // Nobody looks at the future, and what comes after it must go on.
          LOG.log(Level.SEVERE, "an action of the client failed", failure);
        }
      }
    }

    @Override
    public void cancel() {
      pending.remove(this);
      Future<?> scheduled = future;
      if (scheduled != null) {
        scheduled.cancel(false);
      }
    }
  }
}
