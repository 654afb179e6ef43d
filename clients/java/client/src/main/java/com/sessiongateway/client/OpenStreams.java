package com.sessiongateway.client;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What has to be closed with the client. */
final class OpenStreams {
  private final Map<AutoCloseable, Runnable> streams = new ConcurrentHashMap<>();

  void add(AutoCloseable stream, Runnable close) {
    streams.put(stream, close);
  }

  void remove(AutoCloseable stream) {
    streams.remove(stream);
  }

  void close() {
    streams.values().forEach(Runnable::run);
  }
}
