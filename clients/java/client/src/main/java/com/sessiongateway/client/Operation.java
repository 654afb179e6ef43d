package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import io.grpc.Status;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/** A future in several steps, whose end cancels the step that it waits for, whoever ended it. */
final class Operation<T extends @Nullable Object> extends CompletableFuture<T> {
  private volatile @Nullable CompletableFuture<?> step;

  Operation() {
    whenComplete((value, error) -> cancelStep());
  }

  /**
   * Waits for a step; what it gives is handed on with its error unwrapped, unless this has ended
   * meanwhile.
   */
  <U extends @Nullable Object> void after(
      CompletableFuture<U> next, BiConsumer<? super U, ? super @Nullable Throwable> then) {
    during(next);
    next.whenComplete(
        (value, error) -> {
          if (isDone()) {
            return;
          }
          try {
            then.accept(value, error == null ? null : unwrapped(error));
          } catch (RuntimeException | Error failure) {
            completeExceptionally(failure);
          }
        });
  }

  /** Cancels a step if this ends before it. */
  void during(CompletableFuture<?> next) {
    step = next;
    if (isDone()) {
      next.cancel(false);
    }
  }

  /** Ends with the error, if there is one, else with the value. */
  void end(T value, @Nullable Throwable error) {
    if (error == null) {
      complete(value);
    } else {
      completeExceptionally(error);
    }
  }

  private void cancelStep() {
    CompletableFuture<?> last = step;
    if (last != null) {
      last.cancel(false);
    }
  }

  /**
   * Waits on this thread for the end of a future.
   *
   * @param runState of a run whose thread is interrupted; null if it is none
   * @throws SessionGatewayException the request failed, or was cancelled by interrupting this
   *     thread, whose interrupt flag is set again then
   */
  static <T extends @Nullable Object> T await(
      CompletableFuture<T> future, @Nullable RunState runState) {
    try {
      return future.get();
    } catch (InterruptedException interrupted) {
      future.cancel(false);
      Thread.currentThread().interrupt();
      throw cancelled("the thread was interrupted while it waited", runState);
    } catch (CancellationException cancelled) {
      throw cancelled("the request was cancelled", runState);
    } catch (ExecutionException failure) {
      if (failure.getCause() instanceof CancellationException) {
        throw cancelled("the request was cancelled", runState);
      }
      throw thrownHere(failure.getCause());
    }
  }

  /**
   * Waits on this thread for the end of a future, which must be bounded: also when the thread is
   * interrupted, whose interrupt flag is set again then.
   */
  static <T extends @Nullable Object> T awaitAnyway(CompletableFuture<T> future) {
    boolean isInterrupted = Thread.interrupted();
    try {
      while (true) {
        try {
          return future.get();
        } catch (InterruptedException interrupted) {
          isInterrupted = true;
        } catch (ExecutionException failure) {
          throw thrownHere(failure.getCause());
        }
      }
    } finally {
      if (isInterrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Fails a future on a thread where whatever is chained to it may block. */
  static void failElsewhere(CompletableFuture<?> future, Throwable error) {
    CompletableFuture.runAsync(() -> future.completeExceptionally(error));
  }

  static SessionGatewayException cancelled(String message, @Nullable RunState runState) {
    return Errors.transport(Status.Code.CANCELLED, message, runState);
  }

  /**
   * Returns the error for whoever waits on this thread; its trace would otherwise lead to a thread
   * of gRPC.
   */
  static RuntimeException thrownHere(@Nullable Throwable error) {
    if (error instanceof Error fatal) {
      throw fatal;
    }
    if (error instanceof RuntimeException exception) {
      exception.fillInStackTrace();
      return exception;
    }
    return new IllegalStateException(error);
  }

  static Throwable unwrapped(Throwable error) {
    Throwable cause = error.getCause();
    return error instanceof CompletionException && cause != null ? cause : error;
  }
}
