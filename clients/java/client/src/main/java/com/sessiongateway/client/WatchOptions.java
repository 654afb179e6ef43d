package com.sessiongateway.client;

/** What to watch; filled in by a lambda that is given to {@link Sessions#watch}. */
public final class WatchOptions {
  String resumeToken = "";
  String app = "";
  boolean showWatching;

  WatchOptions() {}

  /**
   * Sets the token of the last event that was dealt with, here or in another process: what has
   * happened since comes first. Left out: from now on.
   */
  public WatchOptions resumeToken(String resumeToken) {
    this.resumeToken = resumeToken;
    return this;
  }

  /**
   * Asks for sessions of this app only: "name" or "name@version". A token is good for the same app
   * only.
   */
  public WatchOptions app(String app) {
    this.app = app;
    return this;
  }

  /**
   * Sets whether the events WATCHING are shown, too, which come at the beginning, after a
   * reconnection, and after quiet times. They are always taken note of in {@link
   * WatchStream#resumeToken()}.
   */
  public WatchOptions showWatching(boolean showWatching) {
    this.showWatching = showWatching;
    return this;
  }
}
