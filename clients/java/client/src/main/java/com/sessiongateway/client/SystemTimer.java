package com.sessiongateway.client;

import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/** The real one: a daemon thread, begun with the first action. */
final class SystemTimer implements Timer {
  private static final Logger LOG = Logger.getLogger("com.sessiongateway.client");

  private final Set<Task> pending = ConcurrentHashMap.newKeySet();
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
    Task task = new Task(action);
    pending.add(task);
    try {
      task.future = executor.schedule(task, Math.max(0, delay.toNanos()), TimeUnit.NANOSECONDS);
    } catch (RejectedExecutionException closed) {
      task.run();
    }
    return task;
  }

  @Override
  public void close() {
    executor.shutdown();
    executor.getQueue().clear();
    for (Task task : Set.copyOf(pending)) {
      task.run();
    }
  }

  private final class Task implements Runnable, Cancellation {
    private final Runnable action;
    private volatile @Nullable Future<?> future;

    Task(Runnable action) {
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
