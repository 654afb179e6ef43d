package com.sessiongateway.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.function.Consumer;

/**
 * What has to hear that the client is closed. Does not keep alive what its users have forgotten.
 */
final class OpenStreams {
  // Guarded by this. The actions do not hold what they close, or nothing would ever be forgotten.
  private final Map<Object, Consumer<Object>> streams = new WeakHashMap<>();
  private boolean isClosed;

  /**
   * Adds something that is to be closed by an action, which must not refer to it but by its
   * argument.
   *
   * @throws IllegalStateException the client is closed; so is the stream then
   */
  <T> void add(T stream, Class<T> type, Consumer<? super T> close) {
    synchronized (this) {
      if (!isClosed) {
        streams.put(stream, each -> close.accept(type.cast(each)));
        return;
      }
    }
    close.accept(stream);
    throw new IllegalStateException("the client is closed");
  }

  synchronized void remove(Object stream) {
    streams.remove(stream);
  }

  void close() {
    List<Runnable> actions = new ArrayList<>();
    synchronized (this) {
      isClosed = true;
      streams.forEach((stream, close) -> actions.add(() -> close.accept(stream)));
      streams.clear();
    }
    actions.forEach(Runnable::run);
  }
}
