// What a session handle and its streams share.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core.h"
#include "opening.h"
#include "sessiongateway/session.h"

namespace sessiongateway::detail {

class SessionState : public std::enable_shared_from_this<SessionState> {
 public:
  SessionState(std::shared_ptr<Core> core, std::string app, SessionOptions options)
      : core_(std::move(core)), app_(std::move(app)), options_(std::move(options)) {}

  std::string id() const;
  std::optional<SessionInfo> info() const;
  std::shared_ptr<const Error> lost() const;

  RunResult call(const SessionCall& call);
  std::shared_ptr<RunStreamState> stream(SessionCall call);
  std::optional<SessionInfo> end();

  /// Ends the session, whatever goes wrong with that. Afterwards `on_lost` is not called and not running, unless it is
  /// the caller itself.
  void leave() noexcept;

  /// Lets a request open the session, while others wait, or else makes it one in the session that is open. Returns the
  /// turn to open it, if it is to do that.
  /// \throws UsageError, Error The handle is closed, the session lost, or the turn did not come.
  Opening::Turn enter(v1::RunRequest& request, const Deadline& deadline, const std::stop_token& stop);

  /// Takes the answer of a request that `enter` let in.
  void took(Opening::Turn turn, const RunResult& result);

  /// Remembers that this thread reads the stream that is opening the session.
  void read_by_caller() { opening_.read_by_caller(); }

  /// Remembers that the stream that is opening the session goes on.
  void read_by_nobody() { opening_.read_by_nobody(); }

 private:
  v1::RunRequest request(const SessionCall& call) const;
  std::optional<Duration> timeout_of(const SessionCall& call) const;
  void refuse_finished() const;
  void keep_alive(const std::string& session_id);
  void hear(const KeepaliveEvent& event);

  const std::shared_ptr<Core> core_;
  const std::string app_;
  const SessionOptions options_;
  Opening opening_;
  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<RunStreamState>> streams_;
  std::string id_;
  std::optional<SessionInfo> info_;
  std::shared_ptr<const Error> lost_;
  // Kept after the end, since `on_lost` may be running still.
  std::uint64_t renewal_ = 0;
  bool closed_ = false;
  bool ended_ = false;
};

}  // namespace sessiongateway::detail
