package com.sessiongateway.client;

import com.sessiongateway.v1.RunRequest;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * A stream's turn in a session. A stream that opens the session keeps the turn until it is over.
 */
final class HoldingTurn implements StreamTurn {
  private final Holding holding;
  private final Opening opening;
  private final RunRequest.Builder request;

  // Both guarded by this; the turn is set while this stream is the one that opens the session.
  private Opening.@Nullable Turn turn;
  private boolean isOver;

  HoldingTurn(Holding holding, Opening opening, RunRequest.Builder request) {
    this.holding = holding;
    this.opening = opening;
    this.request = request;
  }

  @Override
  public CompletableFuture<RunRequest> take(Budget budget) {
    if (opening.isOver()) {
      return CompletableFuture.completedFuture(holding.inside(request));
    }
    opening.refuseReader();
    CompletableFuture<Opening.Turn> asked = opening.acquire(budget);
    Operation<RunRequest> taken = new Operation<>();
    taken.during(asked);
    asked.whenComplete(
        (given, error) -> {
          if (error != null) {
            taken.completeExceptionally(error);
          } else {
            begin(given, taken);
          }
        });
    return taken;
  }

  private void begin(Opening.Turn given, Operation<RunRequest> taken) {
    boolean opens = keep(given);
    try {
      taken.complete(opens ? holding.opening(request) : holding.inside(request));
    } catch (RuntimeException refused) {
      taken.completeExceptionally(refused);
    } finally {
      if (!opens) {
        given.release();
      }
    }
  }

  private synchronized boolean keep(Opening.Turn given) {
    if (isOver || holding.id() != null) {
      return false;
    }
    turn = given;
    return true;
  }

  @Override
  public void asking() {
    isReadBy(null);
  }

  @Override
  public void giving() {
    isReadBy(Thread.currentThread());
  }

  private synchronized void isReadBy(@Nullable Thread thread) {
    if (turn != null) {
      turn.isReadBy(thread);
    }
  }

  @Override
  public void result(RunResult result) {
    boolean opens;
    synchronized (this) {
      opens = turn != null;
    }
    if (opens) {
      holding.opened(result);
    } else {
      holding.called(result);
    }
  }

  @Override
  public void end() {
    Opening.Turn given;
    synchronized (this) {
      isOver = true;
      given = turn;
      turn = null;
    }
    if (given != null) {
      given.release();
    }
  }
}
