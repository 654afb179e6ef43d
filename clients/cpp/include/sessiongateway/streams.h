// Answers that come piece by piece. All of them can be moved, and end what they stand for when they are destroyed.
#pragma once

#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include "sessiongateway/errors.h"
#include "sessiongateway/range.h"
#include "sessiongateway/types.h"

namespace sessiongateway {

namespace detail {
class RunStreamState;
class KeepaliveStreamState;
class WatchState;
}  // namespace detail

/// The partial outputs of one run, and at their end its result.
///
/// The run is sent, and its time begins, with the first `next()`. A reader that is slow slows the function. Destroying
/// or closing the stream before its end cancels the run on the gateway too. One thread reads; any may close.
class RunStream {
 public:
  explicit RunStream(std::shared_ptr<detail::RunStreamState> state);
  RunStream(RunStream&&) noexcept = default;
  RunStream& operator=(RunStream&& other) noexcept;
  RunStream(const RunStream&) = delete;
  RunStream& operator=(const RunStream&) = delete;
  ~RunStream();

  /// Waits for the next partial output, a JSON object as text; empty when the result is there, or after a failure or
  /// `close()`.
  /// \throws UsageError The client, or the handle of the session, is closed.
  /// \throws Error What `Client::run` throws, also after outputs have come; CancelledError when closed meanwhile.
  std::optional<std::string> next();

  /// The answer, as `Client::run` returns it.
  /// \throws UsageError The stream was not read to its end, was closed, or has failed.
  const RunResult& result() const;

  /// Passes over the partial outputs that are left and returns the result.
  /// \throws UsageError, Error As `next` and `result`.
  RunResult finish();

  /// Cancels the run unless it has ended. May be called twice, and while another thread waits in `next()`.
  void close() noexcept;

  NextIterator<RunStream, std::string> begin() { return NextIterator<RunStream, std::string>(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  std::shared_ptr<detail::RunStreamState> state_;
};

/// How one session of a KeepaliveStream fares: it was renewed, or it is lost.
struct KeepaliveEvent {
  std::string session_id;
  /// The session as renewed; none if it is lost.
  std::optional<SessionInfo> session;
  /// Why it is lost; null if it was renewed.
  std::shared_ptr<const Error> error;
};

/// Renews sessions by itself until it is closed, over the one keepalive stream of its client.
///
/// A reader that is slower than the renewals sees only the newest of each session; a loss is never skipped.
class KeepaliveStream {
 public:
  explicit KeepaliveStream(std::shared_ptr<detail::KeepaliveStreamState> state);
  KeepaliveStream(KeepaliveStream&&) noexcept = default;
  KeepaliveStream& operator=(KeepaliveStream&& other) noexcept;
  KeepaliveStream(const KeepaliveStream&) = delete;
  KeepaliveStream& operator=(const KeepaliveStream&) = delete;
  ~KeepaliveStream();

  /// Waits for the next event; empty when the time is over, a stop was requested, or there are no more: see `ended`.
  std::optional<KeepaliveEvent> next(const WaitOptions& options = {});

  /// Whether nothing will come any more: every session is lost and was told, or the stream is closed.
  bool ended() const;

  /// Stops renewing. May be called twice.
  void close() noexcept;

  NextIterator<KeepaliveStream, KeepaliveEvent> begin() { return NextIterator<KeepaliveStream, KeepaliveEvent>(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  std::shared_ptr<detail::KeepaliveStreamState> state_;
};

/// One change in the caller's sessions.
struct WatchEvent {
  SessionEvent event = SessionEvent::unspecified;
  /// The session as it was right after the change; none for `watching`.
  std::optional<SessionInfo> session;
  Timestamp occurred_at;
  /// Continues a watch behind this event.
  std::string resume_token;
};

/// What happens to the caller's sessions, until it is closed.
///
/// When the connection breaks or the gateway stops it is opened again behind the last event that was read, as often as
/// it takes: nothing is left out and nothing comes twice. Nothing is read ahead but one event. One thread reads; any
/// may close.
class WatchStream {
 public:
  explicit WatchStream(std::shared_ptr<detail::WatchState> state);
  WatchStream(WatchStream&&) noexcept = default;
  WatchStream& operator=(WatchStream&& other) noexcept;
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;
  ~WatchStream();

  /// Waits for the next event; empty when the time is over, a stop was requested, or the watch is closed. No event is
  /// lost by either.
  /// \throws Error The gateway refuses to go on, such as for a token that is too old. Calling again tries again.
  std::optional<WatchEvent> next(const WaitOptions& options = {});

  /// Continues behind the last event that was read. Good after a restart, too.
  std::string resume_token() const;

  /// Watches no longer. May be called twice, and while another thread waits in `next()`.
  void close() noexcept;

  NextIterator<WatchStream, WatchEvent> begin() { return NextIterator<WatchStream, WatchEvent>(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  std::shared_ptr<detail::WatchState> state_;
};

}  // namespace sessiongateway
