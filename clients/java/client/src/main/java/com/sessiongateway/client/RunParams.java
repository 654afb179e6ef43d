package com.sessiongateway.client;

import com.google.protobuf.ByteString;
import com.sessiongateway.v1.RunRequest;
import java.time.Duration;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What to run: made by {@link #builder()}, or filled in by a lambda that is given to a method. */
public final class RunParams {
  private final RunRequest request;
  private final @Nullable Duration timeout;
  private final boolean hasApp;

  private RunParams(RunRequest request, @Nullable Duration timeout, boolean hasApp) {
    this.request = request;
    this.timeout = timeout;
    this.hasApp = hasApp;
  }

  /** Returns an empty builder. */
  public static Builder builder() {
    return new Builder();
  }

  @Nullable Duration timeout() {
    return timeout;
  }

  /** Returns the request of a run that stands for itself. */
  RunRequest request() {
    if (!hasApp) {
      throw new IllegalArgumentException("a run needs an app");
    }
    return request;
  }

  /** Returns the fields of a call in a session that is held, which has its own app. */
  RunRequest.Builder inSession() {
    if (hasApp
        || !request.getSession().isEmpty()
        || request.hasSessionTimeout()
        || !request.getWorkerId().isEmpty()) {
      throw new IllegalArgumentException(
          "app, session, session timeout and worker are those of the session that is called");
    }
    return request.toBuilder();
  }

  /** Sets what is to be run, field by field. */
  public static final class Builder {
    // Sent also for no input: the answer comes in the form of the request, and only JSON text keeps
    // integers exact.
    private final RunRequest.Builder request =
        RunRequest.newBuilder().setInputJson(ByteString.copyFromUtf8("{}"));
    private @Nullable Duration timeout;
    private boolean hasApp;

    private Builder() {}

    /** Sets the app: "name" or "name@version". */
    public Builder app(String app) {
      request.setApp(Objects.requireNonNull(app, "app is null"));
      hasApp = true;
      return this;
    }

    /** Sets the function. Left out: the app's default function. */
    public Builder function(String function) {
      request.setFunction(Objects.requireNonNull(function, "function is null"));
      return this;
    }

    /**
     * Sets the input: whatever Jackson writes as a JSON object, such as a map, a record or a tree.
     *
     * <p>Half a character in a text is sent as its escape.
     *
     * @throws IllegalArgumentException it is no JSON object, or holds NaN or an infinity
     */
    public Builder input(Object input) {
      request.setInputJson(Json.encode(input));
      return this;
    }

    /**
     * Sets the input as JSON text, which is sent as it is.
     *
     * @throws IllegalArgumentException it is no JSON object, or holds half a character
     */
    public Builder inputJson(String input) {
      request.setInputJson(Json.check(input));
      return this;
    }

    /**
     * Sets the session: "new" or an id. Left out: any worker, which others use too: nothing that it
     * keeps is to be relied on.
     */
    public Builder session(String session) {
      request.setSession(Objects.requireNonNull(session, "session is null"));
      return this;
    }

    /**
     * Sets the idle timeout of a new session, in whole seconds from 1 to 3600. Left out: 60.
     *
     * @throws IllegalArgumentException it is not in whole seconds
     */
    public Builder sessionTimeout(Duration sessionTimeout) {
      request.setSessionTimeout(wholeSeconds(sessionTimeout));
      return this;
    }

    /** Sets the worker to lease, or the one on which the session must still be. */
    public Builder workerId(String workerId) {
      request.setWorkerId(Objects.requireNonNull(workerId, "workerId is null"));
      return this;
    }

    /** Sets the idempotency key: a repeat with the same content gets the first call's answer. */
    public Builder requestId(String requestId) {
      request.setRequestId(Objects.requireNonNull(requestId, "requestId is null"));
      return this;
    }

    /** Sets how many calls the session must have had when this one's turn comes. */
    public Builder expectedCallCount(long expectedCallCount) {
      request.setExpectedCallCount(expectedCallCount);
      return this;
    }

    /**
     * Sets how long the run may take with all its attempts. Left out: as the client or the session
     * has it.
     */
    public Builder timeout(Duration timeout) {
      this.timeout = timeout;
      return this;
    }

    /** Returns what was set. */
    public RunParams build() {
      return new RunParams(request.build(), timeout, hasApp);
    }
  }

  static int wholeSeconds(Duration duration) {
    Objects.requireNonNull(duration, "sessionTimeout is null");
    if (duration.getNano() != 0 || duration.getSeconds() != (int) duration.getSeconds()) {
      throw new IllegalArgumentException("a session timeout has whole seconds, unlike " + duration);
    }
    return (int) duration.getSeconds();
  }
}
