package com.sessiongateway.client;

import com.sessiongateway.v1.ListSessionsRequest;
import java.time.Duration;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Which sessions to list; filled in by a lambda that is given to {@link Sessions#list}. */
public final class SessionQuery {
  private final ListSessionsRequest.Builder request = ListSessionsRequest.newBuilder();
  private @Nullable Duration timeout;

  SessionQuery() {}

  /**
   * Asks for sessions with this status only.
   *
   * @throws IllegalArgumentException it is UNRECOGNIZED
   */
  public SessionQuery status(SessionStatus status) {
    request.setStatus(
        switch (status) {
          case ACTIVE -> com.sessiongateway.v1.SessionStatus.SESSION_STATUS_ACTIVE;
          case ENDED -> com.sessiongateway.v1.SessionStatus.SESSION_STATUS_ENDED;
          case EXPIRED -> com.sessiongateway.v1.SessionStatus.SESSION_STATUS_EXPIRED;
          case UNRECOGNIZED -> throw new IllegalArgumentException("no session has this status");
        });
    return this;
  }

  /** Asks for sessions of this app only: "name" or "name@version". */
  public SessionQuery app(String app) {
    request.setApp(Objects.requireNonNull(app, "app is null"));
    return this;
  }

  /** Sets how many to fetch at a time, 1 to 1000. */
  public SessionQuery pageSize(int pageSize) {
    request.setPageSize(pageSize);
    return this;
  }

  /** Sets how long each page may take. */
  public SessionQuery timeout(Duration timeout) {
    this.timeout = timeout;
    return this;
  }

  ListSessionsRequest request() {
    return request.build();
  }

  @Nullable Duration timeout() {
    return timeout;
  }
}
