package com.sessiongateway.client;

import com.sessiongateway.v1.RunRequest;
import java.util.concurrent.CompletableFuture;

/** What a stream is to the session that it is made in, if any. */
interface StreamTurn {

  /** Waits until the stream may be sent, and returns what to send. */
  CompletableFuture<RunRequest> take(Budget budget);

  /** Whoever called waits for the next output. */
  void asking();

  /** An output is about to be given to whoever called, on the same thread. */
  void giving();

  /** The answer has come. */
  void result(RunResult result);

  /** The stream is over, or never was. May be called twice. */
  void end();

  /** Returns the turn of a stream that nothing else depends on. */
  static StreamTurn free(RunRequest request) {
    return new StreamTurn() {
      @Override
      public CompletableFuture<RunRequest> take(Budget budget) {
        return CompletableFuture.completedFuture(request);
      }

      @Override
      public void asking() {}

      @Override
      public void giving() {}

      @Override
      public void result(RunResult result) {}

      @Override
      public void end() {}
    };
  }
}
