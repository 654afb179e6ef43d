package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.RunState;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/** Lets one call at a time try to open a session, while others wait. */
final class Opening {
  private final Timer timer;
  private final Deque<CompletableFuture<Void>> waiting = new ArrayDeque<>();
  private boolean isTaken;
  private @Nullable Thread reader;

  Opening(Timer timer) {
    this.timer = timer;
  }

  /** Waits for the turn; fails with DEADLINE_EXCEEDED if it does not come in time. */
  CompletableFuture<Void> acquire(Budget budget) {
    CompletableFuture<Void> turn = new CompletableFuture<>();
    synchronized (this) {
      if (!isTaken) {
        isTaken = true;
        turn.complete(null);
        return turn;
      }
      waiting.add(turn);
    }
    Duration remaining = budget.remaining();
    if (remaining != null) {
      Timer.Cancellation deadline =
          timer.schedule(
              remaining,
              () ->
                  turn.completeExceptionally(
                      Errors.transport(
                          Status.Code.DEADLINE_EXCEEDED,
                          "the session was not open in the time given",
                          RunState.NOT_STARTED)));
      turn.whenComplete((none, error) -> deadline.cancel());
    }
    return turn;
  }

  /** Gives the turn to the next who still waits. */
  void release() {
    while (true) {
      CompletableFuture<Void> next;
      synchronized (this) {
        reader = null;
        next = waiting.poll();
        if (next == null) {
          isTaken = false;
          return;
        }
      }
      if (next.complete(null)) {
        return;
      }
    }
  }

  /** Remembers that a stream which has the turn gives an output to this thread. */
  synchronized void readHere() {
    reader = Thread.currentThread();
  }

  /**
   * Refuses a call that would wait for ever.
   *
   * @throws IllegalStateException this thread reads a stream that has the turn
   */
  synchronized void refuseReader() {
    if (reader == Thread.currentThread()) {
      throw new IllegalStateException(
          "the session is being opened by a stream: read it to its end, or close it, before the next call");
    }
  }
}
