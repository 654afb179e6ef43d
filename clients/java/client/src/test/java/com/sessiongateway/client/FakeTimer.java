package com.sessiongateway.client;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/**
 * A clock that stands still until a test moves it. What is due runs on one thread, as it does on
 * the real one.
 */
final class FakeTimer implements Timer {
  private final ExecutorService thread =
      new ThreadPoolExecutor(
          1,
          1,
          0,
          TimeUnit.SECONDS,
          new LinkedBlockingQueue<>(),
          // What gRPC still has to say when a test is over is of no use.
          new ThreadPoolExecutor.DiscardPolicy());
  private final List<Task> pending = new ArrayList<>();
  private long now;
  private volatile boolean isClosed;

  @Override
  public synchronized long nanoTime() {
    return now;
  }

  @Override
  public synchronized Cancellation schedule(Duration delay, Runnable action) {
    Task task = new Task(now + Math.max(0, delay.toNanos()), action);
    if (delay.isZero() || delay.isNegative()) {
      thread.execute(action);
      return () -> {};
    }
    pending.add(task);
    notifyAll();
    return () -> {
      synchronized (this) {
        pending.remove(task);
        notifyAll();
      }
    };
  }

  /** Waits until something is to happen after a time that is looked for, and returns that time. */
  synchronized Duration awaitPlan(Predicate<Duration> wanted) throws InterruptedException {
    while (true) {
      for (Task task : pending) {
        Duration left = Duration.ofNanos(task.due - now);
        if (wanted.test(left)) {
          return left;
        }
      }
      wait();
    }
  }

  /** Waits until nothing is to happen later. */
  synchronized void awaitIdle() throws InterruptedException {
    while (!pending.isEmpty()) {
      wait();
    }
  }

  /** Moves the clock, and runs what is due by then. */
  synchronized void advance(Duration time) {
    now += time.toNanos();
    List<Task> due = new ArrayList<>(pending.stream().filter(task -> task.due <= now).toList());
    due.sort(Comparator.comparingLong(task -> task.due));
    pending.removeAll(due);
    due.forEach(task -> thread.execute(task.action));
  }

  @Override
  public boolean isClosed() {
    return isClosed;
  }

  @Override
  public void close() {
    isClosed = true;
    thread.shutdownNow();
  }

  private static final class Task {
    private final long due;
    private final Runnable action;

    Task(long due, Runnable action) {
      this.due = due;
      this.action = action;
    }
  }
}
