package com.sessiongateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.Test;

class SystemTimerTest {
  private final SystemTimer timer = new SystemTimer();
  private final BlockingQueue<String> done = new LinkedBlockingQueue<>();

  @Test
  void closingRunsWhatIsScheduledInItsOrderAndOnTheTimersThread() throws Exception {
    CompletableFuture<Thread> begun = new CompletableFuture<>();
    timer.execute(() -> begun.complete(Thread.currentThread()));
    CompletableFuture<Thread> late = new CompletableFuture<>();
    timer.schedule(
        Duration.ofHours(2),
        () -> {
          done.add("late");
          late.complete(Thread.currentThread());
        });
    timer.schedule(Duration.ofHours(1), () -> done.add("early"));
    timer.close();
    assertEquals("early", done.take());
    assertEquals("late", done.take());
    assertSame(begun.get(), late.get());
  }

  @Test
  void whatIsScheduledAfterTheClosingRunsAtOnceAndNotOnTheCallersThread() throws Exception {
    timer.close();
    assertTrue(timer.isClosed());
    CompletableFuture<Thread> ran = new CompletableFuture<>();
    timer.schedule(Duration.ofHours(1), () -> ran.complete(Thread.currentThread()));
    Thread thread = ran.get();
    assertEquals("sessiongateway-timer", thread.getName());
    // It ends when nothing is left to do.
    thread.join();
    assertFalse(thread.isAlive());
  }

  @Test
  void whatIsCancelledDoesNotRunAndWhatIsCenturiesAwayCanBeScheduled() throws Exception {
    timer.schedule(Duration.ofDays(3_650_000), () -> done.add("centuries")).cancel();
    timer.schedule(Duration.ofHours(1), () -> done.add("other"));
    timer.close();
    assertEquals("other", done.take());
    assertTrue(done.isEmpty());
  }
}
