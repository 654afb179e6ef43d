package com.sessiongateway.client;

import com.sessiongateway.client.errors.Words;
import com.sessiongateway.v1.SessionEvent;
import com.sessiongateway.v1.WatchSessionsResponse;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * One thing that happened to a session.
 *
 * @param message the message of the protocol
 */
public record WatchEvent(WatchSessionsResponse message) {

  /** What can happen. */
  public enum Kind {
    /** Nothing: the watch stands. */
    WATCHING,
    /** It began. */
    CREATED,
    /** It was ended. */
    ENDED,
    /** It was idle for longer than its timeout. */
    EXPIRED,
    /** Its worker process died, and it has ended with that. */
    WORKER_LOST,
    /** Something that only a newer gateway knows. */
    UNRECOGNIZED
  }

  /** Returns what happened. */
  public Kind kind() {
    return switch (message.getEvent()) {
      case SESSION_EVENT_WATCHING -> Kind.WATCHING;
      case SESSION_EVENT_CREATED -> Kind.CREATED;
      case SESSION_EVENT_ENDED -> Kind.ENDED;
      case SESSION_EVENT_EXPIRED -> Kind.EXPIRED;
      case SESSION_EVENT_WORKER_LOST -> Kind.WORKER_LOST;
      default -> Kind.UNRECOGNIZED;
    };
  }

  /**
   * Returns what happened as a word such as "created"; "unknown_N" for what only a newer gateway
   * knows.
   */
  public String kindName() {
    return Words.of(SessionEvent.getDescriptor(), "SESSION_EVENT_", message.getEventValue());
  }

  /** Returns the session as it was right after it; null for WATCHING. */
  public @Nullable SessionInfo session() {
    return message.hasSession() ? new SessionInfo(message.getSession()) : null;
  }

  /** Returns when it happened, by the gateway's clock. */
  public Instant occurredAt() {
    return SessionInfo.instant(message.getOccurredAt());
  }

  /** Returns what continues a watch behind this event. */
  public String resumeToken() {
    return message.getResumeToken();
  }
}
