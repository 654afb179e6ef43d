package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.SessionNotFoundException;
import com.sessiongateway.v1.RunRequest;
import io.grpc.Context;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiConsumer;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/** What a handle knows of its session, and how its calls get there. */
final class Holding {
  private static final Logger LOG = Logger.getLogger("com.sessiongateway.client");

  private final String app;
  private final SessionOptions options;
  private final Runner runner;
  private final Sessions sessions;
  private final Renewer renewer;
  private final Opening opening;
  private final CompletableFuture<SessionGatewayException> lost = new CompletableFuture<>();
  private final Renewer.Sink sink = this::hear;

  // Written under the lock, so that a session is either renewed or ended when its handle is closed
  // while it opens.
  private final Object lock = new Object();
  private volatile @Nullable SessionInfo info;
  private volatile @Nullable String id;
  private volatile boolean isClosed;
  private volatile @Nullable SessionGatewayException reason;
  private @Nullable Operation<@Nullable SessionInfo> ending;

  Holding(String app, SessionOptions options, Runner runner, Sessions sessions, Renewer renewer) {
    this.app = app;
    this.options = options;
    this.runner = runner;
    this.sessions = sessions;
    this.renewer = renewer;
    this.opening = new Opening(runner.pacing().timer());
  }

  @Nullable String id() {
    return id;
  }

  @Nullable SessionInfo info() {
    return info;
  }

  CompletableFuture<SessionGatewayException> lost() {
    CompletableFuture<SessionGatewayException> told = new CompletableFuture<>();
    BiConsumer<@Nullable SessionGatewayException, @Nullable Throwable> tell =
        (found, closed) -> {
          if (closed == null) {
            told.complete(found);
          } else {
            told.cancel(false);
          }
        };
    if (lost.isDone()) {
      lost.whenComplete(tell);
    } else {
      // Elsewhere, because renewals must go on whatever is chained to it.
      lost.whenCompleteAsync(tell);
    }
    return told;
  }

  /** See {@link Opening#refuseReader()}. */
  void refuseReader() {
    if (!opening.isOver()) {
      opening.refuseReader();
    }
  }

  /**
   * Lets a call open the session, while others wait, or else makes it in the session that is open.
   */
  CompletableFuture<RunResult> call(RunRequest.Builder request, Budget budget) {
    Operation<RunResult> call = new Operation<>();
    if (opening.isOver()) {
      callInside(request, budget, call);
      return call;
    }
    CompletableFuture<Opening.Turn> turn = opening.acquire(budget);
    call.during(turn);
    turn.whenComplete(
        (given, error) -> {
          if (error != null) {
            call.completeExceptionally(error);
          } else if (id != null || call.isDone()) {
            // Sent first, or those who wait would be sent in the opposite order.
            callInside(request, budget, call);
            given.release();
          } else {
            open(request, budget, call, given);
          }
        });
    return call;
  }

  /** Returns the turn of a stream under the same rule. */
  StreamTurn turn(RunRequest.Builder request) {
    return new HoldingTurn(this, opening, request);
  }

  /** Refuses calls from now on. */
  void close() {
    synchronized (lock) {
      isClosed = true;
    }
    lost.cancel(false);
  }

  /** Tells that nothing is heard of the session any more. */
  void clientIsClosed() {
    lost.cancel(false);
  }

  /**
   * Ends the session, if there is one, once for all who ask; again if that has failed. Cancelling
   * what is returned does not cancel the end.
   */
  CompletableFuture<@Nullable SessionInfo> end() {
    close();
    String known;
    Operation<@Nullable SessionInfo> end;
    boolean isFirst = false;
    synchronized (lock) {
      known = id;
      if (known == null) {
        return CompletableFuture.completedFuture(info);
      }
      end = ending;
      if (end == null || end.isCompletedExceptionally()) {
        isFirst = true;
        end = new Operation<>();
        ending = end;
      }
    }
    if (isFirst) {
      end(known, end);
    }
    Operation<@Nullable SessionInfo> copy = new Operation<>();
    end.whenComplete(copy::end);
    return copy;
  }

  private void end(String known, Operation<@Nullable SessionInfo> end) {
    renewer.discard(known, sink);
    CompletableFuture<SessionInfo> sent;
    try {
      sent = sendEnd(known);
    } catch (RuntimeException refused) {
      end.completeExceptionally(refused);
      return;
    }
    end.after(
        sent,
        (ended, error) -> {
          if (error instanceof SessionNotFoundException) {
            // Its record has been purged, so it was over long ago.
            end.complete(info);
          } else {
            if (error == null) {
              info = ended;
            }
            end.end(ended, error);
          }
        });
  }

  private CompletableFuture<SessionInfo> sendEnd(String known) {
    Duration timeout = options.timeout == null ? runner.pacing().endTimeout() : options.timeout;
    // A session is left also when the context in which it was used has ended.
    Context lasting = Context.current().fork();
    Context before = lasting.attach();
    try {
      return sessions.endAsync(known, timeout);
    } finally {
      lasting.detach(before);
    }
  }

  private void callInside(RunRequest.Builder request, Budget budget, Operation<RunResult> call) {
    if (call.isDone()) {
      return;
    }
    try {
      call.after(
          runner.run(inside(request), budget),
          (result, error) -> {
            if (error == null) {
              called(result);
            }
            call.end(result, error);
          });
    } catch (RuntimeException refused) {
      // Elsewhere, because the calls that wait behind this one must go on.
      Operation.failElsewhere(call, refused);
    }
  }

  private void open(
      RunRequest.Builder request, Budget budget, Operation<RunResult> call, Opening.Turn turn) {
    CompletableFuture<RunResult> first;
    try {
      first = runner.run(opening(request), budget);
    } catch (RuntimeException refused) {
      turn.release();
      Operation.failElsewhere(call, refused);
      return;
    }
    // Looked at even when nobody waits for it any more: a session that was opened must not be
    // forgotten.
    first.whenComplete(
        (result, error) -> {
          if (error == null) {
            opened(result);
          }
          turn.release();
          call.end(result, error == null ? null : Operation.unwrapped(error));
        });
    call.during(first);
  }

  /** Returns the request of a call that opens the session; throws if there must be none. */
  RunRequest opening(RunRequest.Builder request) {
    refuseFinished();
    request.setApp(app).setSession("new");
    if (options.sessionTimeout != null) {
      request.setSessionTimeout(options.sessionTimeout);
    }
    return request.build();
  }

  /** Returns the request of a call in the session that is open; throws if there must be none. */
  RunRequest inside(RunRequest.Builder request) {
    refuseFinished();
    SessionInfo known = info;
    return request
        .clearSessionTimeout()
        .setApp(known == null ? app : known.app() + "@" + known.version())
        .setSession(String.valueOf(id))
        .build();
  }

  /** Takes note of the answer of a call in the session. */
  void called(RunResult result) {
    if (result.session() != null) {
      info = result.session();
    }
  }

  /** Takes note of the answer of the call that opened the session. */
  void opened(RunResult result) {
    String known = result.sessionId();
    boolean isLate;
    synchronized (lock) {
      info = result.session();
      id = known;
      isLate = isClosed;
      if (known != null && options.keepalive && !isLate) {
        SessionInfo begun = info;
        renewer.add(known, sink, begun == null ? null : begun.sessionTimeout());
      }
    }
    opening.open();
    if (isLate) {
      // The block was left while this call ran, and could not end what it did not know.
      end()
          .whenComplete(
              (ended, error) -> {
                if (error != null) {
                  LOG.log(Level.WARNING, "the session " + known + " could not be ended", error);
                }
              });
    }
  }

  private void refuseFinished() {
    if (isClosed) {
      throw new IllegalStateException("the session handle is closed");
    }
    SessionGatewayException found = reason;
    if (found != null) {
      throw Errors.notStarted(found);
    }
  }

  private void hear(KeepaliveEvent event) {
    SessionGatewayException error = event.error();
    if (error == null) {
      synchronized (lock) {
        if (!isClosed) {
          info = event.session();
        }
      }
    } else {
      reason = error;
      lost.complete(error);
    }
  }
}
