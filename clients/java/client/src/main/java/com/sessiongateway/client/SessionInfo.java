package com.sessiongateway.client;

import com.google.protobuf.Timestamp;
import com.sessiongateway.client.errors.EndReason;
import com.sessiongateway.client.errors.Words;
import com.sessiongateway.client.errors.WorkerExit;
import com.sessiongateway.v1.Session;
import java.time.Duration;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * A session as it was when the gateway answered. All moments are by the gateway's clock.
 *
 * @param message the message of the protocol, which has all of it
 */
public record SessionInfo(Session message) {

  /** Returns the session's id. */
  public String id() {
    return message.getId();
  }

  /** Returns the app's name. */
  public String app() {
    return message.getApp();
  }

  /** Returns the app's version; a session never changes it. */
  public String version() {
    return message.getVersion();
  }

  /** Returns where the session stands. */
  public SessionStatus status() {
    return switch (message.getStatus()) {
      case SESSION_STATUS_ACTIVE -> SessionStatus.ACTIVE;
      case SESSION_STATUS_ENDED -> SessionStatus.ENDED;
      case SESSION_STATUS_EXPIRED -> SessionStatus.EXPIRED;
      default -> SessionStatus.UNRECOGNIZED;
    };
  }

  /**
   * Returns the status as a word: "active", "ended", "expired"; "unknown_N" for what only a newer
   * gateway knows.
   */
  public String statusName() {
    return Words.of(
        com.sessiongateway.v1.SessionStatus.getDescriptor(),
        "SESSION_STATUS_",
        message.getStatusValue());
  }

  /** Returns why it is no longer active; null while it is. */
  public @Nullable EndReason endReason() {
    String word = endReasonName();
    return word == null ? null : EndReason.ofWord(word);
  }

  /**
   * Returns the reason as a word such as "worker_lost", "unknown_N" for what only a newer gateway
   * knows; or null.
   */
  public @Nullable String endReasonName() {
    int number = message.getEndReasonValue();
    return number == 0
        ? null
        : Words.of(com.sessiongateway.v1.EndReason.getDescriptor(), "END_REASON_", number);
  }

  /** Returns the worker that is, or was, leased. */
  public String workerId() {
    return message.getWorkerId();
  }

  /** Returns the idle timeout. */
  public Duration sessionTimeout() {
    return Duration.ofSeconds(message.getSessionTimeout());
  }

  /** Returns when it began. */
  public @Nullable Instant createdAt() {
    return message.hasCreatedAt() ? instant(message.getCreatedAt()) : null;
  }

  /** Returns when it expires if nothing more happens; for a finished one, when it would have. */
  public @Nullable Instant expiresAt() {
    return message.hasExpiresAt() ? instant(message.getExpiresAt()) : null;
  }

  /** Returns the time that was left; needs no comparison of clocks. */
  public Duration expiresIn() {
    com.google.protobuf.Duration left = message.getExpiresIn();
    return Duration.ofSeconds(left.getSeconds(), left.getNanos());
  }

  /** Returns when the newest call was admitted; null before the first. */
  public @Nullable Instant lastCallAt() {
    return message.hasLastCallAt() ? instant(message.getLastCallAt()) : null;
  }

  /** Returns when it ended or expired; null while it is active. */
  public @Nullable Instant endedAt() {
    return message.hasEndedAt() ? instant(message.getEndedAt()) : null;
  }

  /** Returns how many calls were started, those that wait or run included. */
  public long callCount() {
    return message.getCallCount();
  }

  /** Returns how the worker died; null if it did not. */
  public @Nullable WorkerExit workerExit() {
    return message.hasWorkerExit() ? WorkerExit.of(message.getWorkerExit()) : null;
  }

  @Override
  public String toString() {
    return "SessionInfo[id="
        + id()
        + ", app="
        + app()
        + "@"
        + version()
        + ", "
        + statusName()
        + "]";
  }

  static Instant instant(Timestamp moment) {
    return Instant.ofEpochSecond(moment.getSeconds(), moment.getNanos());
  }
}
