package com.sessiongateway.client;

/** Where a session stands. */
public enum SessionStatus {
  /** The worker is leased and the session can be called. */
  ACTIVE,
  /** It was ended, by its caller or by something that went wrong. */
  ENDED,
  /** It was idle for longer than its timeout. */
  EXPIRED,
  /** A status that only a newer gateway knows. */
  UNRECOGNIZED
}
