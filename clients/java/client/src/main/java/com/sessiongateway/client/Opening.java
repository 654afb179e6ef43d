package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Lets one call at a time try to open a session, while others wait. They get their turns in the
 * order in which they came.
 */
final class Opening {
  private final Timer timer;

  // All guarded by this.
  private final Deque<CompletableFuture<Turn>> waiting = new ArrayDeque<>();
  private @Nullable Turn current;
  private @Nullable Thread reader;
  private boolean isHandingOn;
  private boolean isOpen;

  private volatile boolean isOver;

  Opening(Timer timer) {
    this.timer = timer;
  }

  /**
   * Returns whether the session is open and everyone who waited for that has had a turn: from now
   * on no turn is needed.
   */
  boolean isOver() {
    return isOver;
  }

  /** Remembers that the session is open. Whoever has the turn still has to give it back. */
  synchronized void open() {
    isOpen = true;
  }

  /**
   * Waits for the turn; fails when it does not come in time, or the context of the request ends.
   */
  CompletableFuture<Turn> acquire(Budget budget) {
    CompletableFuture<Turn> turn = new CompletableFuture<>();
    synchronized (this) {
      if (current == null && !isHandingOn) {
        current = new Turn();
        turn.complete(current);
        return turn;
      }
      waiting.add(turn);
    }
    budget.limit(turn);
    Duration remaining = budget.remaining();
    if (remaining != null) {
      Timer.Cancellation deadline =
          // Elsewhere, because whoever waits may do anything then, and the timer must go on.
          timer.schedule(remaining, () -> Operation.failElsewhere(turn, tooLate()));
      turn.whenComplete((given, error) -> deadline.cancel());
    }
    return turn;
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

  private SessionGatewayException tooLate() {
    return timer.isClosed()
        ? Operation.cancelled(
            "the client was closed before the session was open", RunState.NOT_STARTED)
        : Errors.transport(
            Status.Code.DEADLINE_EXCEEDED,
            "the session was not open in the time given",
            RunState.NOT_STARTED);
  }

  /** Gives turns to those who wait until one of them keeps it. Runs once at a time. */
  private void handOn() {
    while (true) {
      CompletableFuture<Turn> next;
      Turn turn;
      synchronized (this) {
        next = current == null ? waiting.poll() : null;
        if (next == null) {
          isHandingOn = false;
          isOver = isOpen && current == null;
          return;
        }
        turn = new Turn();
        current = turn;
      }
      if (!next.complete(turn)) {
        synchronized (this) {
          current = null;
        }
      }
    }
  }

  /** The right to open the session, until it is given back. */
  final class Turn {
    private Turn() {}

    /** Gives it to the next who still waits. Does nothing a second time. */
    void release() {
      synchronized (Opening.this) {
        if (current != this) {
          return;
        }
        current = null;
        reader = null;
        if (isHandingOn) {
          return;
        }
        isHandingOn = true;
      }
      handOn();
    }

    /**
     * Remembers the thread that has got an output of a stream with this turn, and that must read on
     * for the turn to end; null while a step of the stream is waiting.
     */
    void isReadBy(@Nullable Thread thread) {
      synchronized (Opening.this) {
        if (current == this) {
          reader = thread;
        }
      }
    }
  }
}
