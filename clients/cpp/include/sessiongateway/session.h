// A session as a thing to hold.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "sessiongateway/errors.h"
#include "sessiongateway/streams.h"
#include "sessiongateway/types.h"

namespace sessiongateway {

namespace detail {
class SessionState;
}

/// How a session handle behaves.
struct SessionOptions {
  /// The idle timeout in whole seconds, 1 to 3600. Left out: 60.
  std::optional<std::chrono::seconds> session_timeout = std::nullopt;
  /// Renew the session by itself for as long as the handle lives.
  bool keepalive = false;
  /// For its requests, where a call has none of its own. Left out: the client's.
  std::optional<std::chrono::nanoseconds> timeout = std::nullopt;
  /// Called once, with the reason, when keepalive finds that the session is lost: on the client's one thread for
  /// renewals, never after the handle is gone, whose destructor waits for it. So it must not block, which would stop
  /// the renewals of all sessions, nor wait for another thread that destroys the handle or closes the client. It may
  /// itself end or destroy the handle, and close or destroy the client. What it throws is dropped.
  std::function<void(const Error&)> on_lost = {};
};

/// One call of a session.
struct SessionCall {
  /// Left out: the app's default function, else "run".
  std::string function = {};
  /// A JSON object as UTF-8 text.
  std::string input = "{}";
  /// Left out: the handle's.
  std::optional<std::chrono::nanoseconds> timeout = std::nullopt;
  std::stop_token stop = {};
  /// Idempotency key.
  std::string request_id = {};
  /// How many calls the session must have had. Not for the call that opens it.
  std::optional<std::int64_t> expected_call_count = std::nullopt;
};

/// One session, made by `Client::session`, which ends when the handle is destroyed.
///
/// The first call opens it; calls of other threads wait for that meanwhile. If the first call fails there is no
/// session, and the next call is the first again. A stream is a call too, and opens the session with its result. From
/// then on every call goes to the session's own app and version, also when a newer one has been deployed. A session
/// that has finished is never replaced: its calls throw.
class Session {
 public:
  explicit Session(std::shared_ptr<detail::SessionState> state);
  Session(Session&&) noexcept = default;
  Session& operator=(Session&& other) noexcept;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  /// Ends the session; what goes wrong with that is not told: see `end`. Takes no longer than that, and the time of an
  /// `on_lost` that is running.
  ~Session();

  /// The session's id; empty before the first call has succeeded.
  std::string id() const;

  /// The session as it was in the newest answer; none before the first.
  std::optional<SessionInfo> info() const;

  /// Why keepalive found the session lost; null while it did not.
  std::shared_ptr<const Error> lost() const;

  /// Calls a function of the app.
  /// \throws UsageError The handle or the client is closed, a field is not UTF-8, or this thread reads a stream that is
  /// opening the session. \throws Error The call failed; or the session is known to be lost.
  RunResult call(const SessionCall& call);
  RunResult call(std::string function, std::string input = "{}") {
    return call(SessionCall{.function = std::move(function), .input = std::move(input)});
  }

  /// Calls a function as `call` does, with its partial outputs. Nothing is sent before the first `next()`.
  [[nodiscard]] RunStream stream(SessionCall call);
  [[nodiscard]] RunStream stream(std::string function, std::string input = "{}") {
    return stream(SessionCall{.function = std::move(function), .input = std::move(input)});
  }

  /// Ends the session, if it was opened, and closes the handle. Returns the session as it then is; none if it was never
  /// opened. May be called twice. Takes no longer than the handle's timeout or `Pacing::end_timeout`, whichever is
  /// shorter.
  /// \throws Error The session could not be ended; it will expire by itself.
  std::optional<SessionInfo> end();

 private:
  std::shared_ptr<detail::SessionState> state_;
};

}  // namespace sessiongateway
