package com.sessiongateway.client;

import com.sessiongateway.client.errors.Errors;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.SessionNotFoundException;
import com.sessiongateway.v1.RunRequest;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
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

  private volatile @Nullable SessionInfo info;
  private volatile @Nullable String id;
  private volatile boolean isClosed;
  private volatile boolean hasEnded;

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
    return lost.copy();
  }

  /** See {@link Opening#refuseReader()}. */
  void refuseReader() {
    if (id == null) {
      opening.refuseReader();
    }
  }

  /**
   * Lets a call open the session, while others wait, or else makes it in the session that is open.
   */
  CompletableFuture<RunResult> call(RunRequest.Builder request, Budget budget) {
    Operation<RunResult> call = new Operation<>();
    if (id != null) {
      callInside(request, budget, call);
      return call;
    }
    CompletableFuture<Void> turn = opening.acquire(budget);
    call.during(turn);
    turn.whenComplete(
        (none, error) -> {
          if (error != null) {
            call.completeExceptionally(error);
          } else if (id != null || call.isDone()) {
            opening.release();
            callInside(request, budget, call);
          } else {
            open(request, budget, call);
          }
        });
    return call;
  }

  /** Returns the turn of a stream under the same rule. */
  StreamTurn turn(RunRequest.Builder request) {
    return new HoldingTurn(request);
  }

  /** Refuses calls from now on. */
  void close() {
    isClosed = true;
  }

  /** Ends the session, if there is one. May be called twice. */
  CompletableFuture<@Nullable SessionInfo> end() {
    String known = id;
    if (known == null || hasEnded) {
      return CompletableFuture.completedFuture(info);
    }
    renewer.discard(known, sink);
    Duration timeout = options.timeout == null ? runner.pacing().endTimeout() : options.timeout;
    Operation<@Nullable SessionInfo> end = new Operation<>();
    end.after(
        sessions.endAsync(known, timeout),
        (ended, error) -> {
          if (error instanceof SessionNotFoundException) {
            // Its record has been purged, so it was over long ago.
            hasEnded = true;
            end.complete(info);
          } else {
            if (error == null) {
              hasEnded = true;
              info = ended;
            }
            end.end(ended, error);
          }
        });
    return end;
  }

  private void callInside(RunRequest.Builder request, Budget budget, Operation<RunResult> call) {
    if (call.isDone()) {
      return;
    }
    try {
      refuseFinished();
      call.after(
          runner.run(inside(request), budget),
          (result, error) -> {
            if (error == null) {
              called(result);
            }
            call.end(result, error);
          });
    } catch (RuntimeException refused) {
      call.completeExceptionally(refused);
    }
  }

  private void open(RunRequest.Builder request, Budget budget, Operation<RunResult> call) {
    CompletableFuture<RunResult> first;
    try {
      refuseFinished();
      first = runner.run(opening(request), budget);
    } catch (RuntimeException refused) {
      opening.release();
      call.completeExceptionally(refused);
      return;
    }
    // Looked at even when nobody waits for it any more: a session that was opened must not be
    // forgotten.
    first.whenComplete(
        (result, error) -> {
          if (error == null) {
            opened(result);
          }
          opening.release();
          call.end(result, error == null ? null : Operation.unwrapped(error));
        });
    call.during(first);
  }

  private RunRequest opening(RunRequest.Builder request) {
    request.setApp(app).setSession("new");
    if (options.sessionTimeout != null) {
      request.setSessionTimeout(options.sessionTimeout);
    }
    return request.build();
  }

  private RunRequest inside(RunRequest.Builder request) {
    SessionInfo known = info;
    return request
        .clearSessionTimeout()
        .setApp(known == null ? app : known.app() + "@" + known.version())
        .setSession(String.valueOf(id))
        .build();
  }

  private void called(RunResult result) {
    if (result.session() != null) {
      info = result.session();
    }
  }

  private void opened(RunResult result) {
    info = result.session();
    id = result.sessionId();
    if (isClosed) {
      // The block was left while this call ran, and could not end what it did not know.
      end()
          .exceptionally(
              error -> {
                LOG.log(Level.WARNING, "the session " + id + " could not be ended", error);
                return null;
              });
    } else if (options.keepalive) {
      SessionInfo known = info;
      renewer.add(result.sessionId(), sink, known == null ? null : known.sessionTimeout());
    }
  }

  private void refuseFinished() {
    if (isClosed) {
      throw new IllegalStateException("the session handle is closed");
    }
    SessionGatewayException reason = lost.getNow(null);
    if (reason != null) {
      throw Errors.notStarted(reason);
    }
  }

  private void hear(KeepaliveEvent event) {
    SessionGatewayException error = event.error();
    if (error == null) {
      info = event.session();
    } else {
      lost.complete(error);
    }
  }

  /** A stream's turn. It keeps the opening of the session until it is over. */
  private final class HoldingTurn implements StreamTurn {
    private final RunRequest.Builder request;
    private boolean hasTurn;
    private boolean isOver;

    HoldingTurn(RunRequest.Builder request) {
      this.request = request;
    }

    @Override
    public CompletableFuture<RunRequest> take(Budget budget) {
      if (id != null) {
        refuseFinished();
        return CompletableFuture.completedFuture(inside(request));
      }
      opening.refuseReader();
      CompletableFuture<Void> turn = opening.acquire(budget);
      Operation<RunRequest> taken = new Operation<>();
      taken.during(turn);
      turn.whenComplete(
          (none, error) -> {
            if (error != null) {
              taken.completeExceptionally(error);
              return;
            }
            synchronized (this) {
              hasTurn = !isOver && id == null;
            }
            if (!hasTurn) {
              opening.release();
            }
            try {
              refuseFinished();
              taken.complete(id == null ? opening(request) : inside(request));
            } catch (RuntimeException refused) {
              taken.completeExceptionally(refused);
            }
          });
      return taken;
    }

    @Override
    public synchronized void giving() {
      if (hasTurn) {
        opening.readHere();
      }
    }

    @Override
    public void result(RunResult result) {
      boolean opens;
      synchronized (this) {
        opens = hasTurn;
      }
      if (opens) {
        opened(result);
      } else {
        called(result);
      }
    }

    @Override
    public void end() {
      synchronized (this) {
        isOver = true;
        if (!hasTurn) {
          return;
        }
        hasTurn = false;
      }
      opening.release();
    }
  }
}
