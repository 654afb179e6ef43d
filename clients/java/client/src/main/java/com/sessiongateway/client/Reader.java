package com.sessiongateway.client;

import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Reads the answers of one call, one at a time: nothing is asked for before somebody wants it, so a
 * slow reader slows the sender down.
 */
final class Reader<R> extends ClientCall.Listener<R> {
  private final Transport transport;
  private final Transport.@Nullable Sent sent;
  private final Context context;
  private @Nullable ClientCall<?, R> call;
  private boolean cancelledHere;

  // Of the two at most one is set; both are guarded by this.
  private @Nullable CompletableFuture<@Nullable R> waiting;
  private @Nullable CompletableFuture<@Nullable R> end;

  Reader(Transport transport, Transport.@Nullable Sent sent, Context context) {
    this.transport = transport;
    this.sent = sent;
    this.context = context;
  }

  /** Sends the request. */
  <Q> void start(ClientCall<Q, R> newCall, Q request) {
    synchronized (this) {
      call = newCall;
    }
    newCall.start(this, new Metadata());
    newCall.sendMessage(request);
    newCall.halfClose();
  }

  /**
   * Asks for the next answer: null when the call ended well. Must not be called again before that
   * has come.
   *
   * @return fails with SessionGatewayException when the call does
   */
  CompletableFuture<@Nullable R> next() {
    ClientCall<?, R> current;
    CompletableFuture<@Nullable R> answer = new CompletableFuture<>();
    synchronized (this) {
      if (end != null) {
        return end.copy();
      }
      waiting = answer;
      current = call;
    }
    if (current != null) {
      current.request(1);
    }
    return answer;
  }

  /** Cancels the call, unless it has ended. */
  void cancel() {
    ClientCall<?, R> current;
    synchronized (this) {
      if (end != null || cancelledHere) {
        return;
      }
      cancelledHere = true;
      current = call;
    }
    if (current != null) {
      current.cancel("cancelled by its caller", null);
    }
  }

  /** Returns what a status of this call means. */
  SessionGatewayException failure(Status status, @Nullable Metadata trailers) {
    return transport.failure(status, trailers, sent);
  }

  @Override
  public void onMessage(R message) {
    CompletableFuture<@Nullable R> answer;
    synchronized (this) {
      answer = waiting;
      waiting = null;
    }
    if (answer != null) {
      answer.complete(message);
    }
  }

  @Override
  public void onClose(Status status, Metadata trailers) {
    CompletableFuture<@Nullable R> last = new CompletableFuture<>();
    if (status.isOk()) {
      last.complete(null);
    } else {
      last.completeExceptionally(meaning(status, trailers));
    }
    CompletableFuture<@Nullable R> answer;
    synchronized (this) {
      end = last;
      answer = waiting;
      waiting = null;
    }
    if (answer != null) {
      CompletableFuture<@Nullable R> told = answer;
      last.whenComplete(
          (none, error) -> {
            if (error == null) {
              told.complete(null);
            } else {
              told.completeExceptionally(error);
            }
          });
    }
  }

  private SessionGatewayException meaning(Status status, Metadata trailers) {
    boolean isOurs;
    synchronized (this) {
      isOurs = cancelledHere || context.isCancelled();
    }
    if (isOurs && status.getCode() == Status.Code.CANCELLED) {
      return Operation.cancelled(
          "the request was cancelled", sent == null ? null : RunState.UNKNOWN);
    }
    return failure(status, trailers);
  }
}
