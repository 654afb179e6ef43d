// Renews sessions over a stream, and tells whoever holds one how it fares.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "keepalive_call.h"
#include "renewal_plan.h"
#include "sessiongateway/options.h"
#include "sessiongateway/streams.h"
#include "transport.h"

namespace sessiongateway::detail {

/// Keeps any number of sessions alive over one stream, opened again whenever it breaks.
///
/// Each sink is called on the thread of the renewals with every one of them, and once with the reason when the session
/// is lost; after that it is forgotten. No thread runs before there was a session, and no stream while there is none.
/// The thread keeps this alive until `close`, which whoever has made it must call.
class Renewer : public std::enable_shared_from_this<Renewer> {
 public:
  using Sink = std::function<void(const KeepaliveEvent&)>;

  Renewer(std::shared_ptr<Transport> transport, Pacing pacing, std::function<double()> random);
  Renewer(const Renewer&) = delete;
  Renewer& operator=(const Renewer&) = delete;

  /// Renews a session from now on, at once for the first time. A session may have several sinks. Returns what `discard`
  /// takes.
  /// \throws UsageError The client is closed.
  std::uint64_t add(const std::string& session_id, Sink sink);

  /// Forgets a sink; once this returns it is not called and not running, unless it is the caller itself. A session
  /// without sinks is not renewed.
  void discard(std::uint64_t ticket) noexcept;

  /// Renews nothing any more; once this returns no sink is running, unless it is the caller itself. May be called
  /// twice, and by many threads at a time.
  void close() noexcept;

 private:
  using Lock = std::unique_lock<std::mutex>;
  /// What gRPC's threads need of this object. They may ring once more when it is gone.
  struct Bell {
    std::mutex mutex;
    std::condition_variable_any changed;
    bool news = false;

    void ring() {
      news = true;
      changed.notify_all();
    }
  };
  struct Watcher {
    std::string session_id;
    Sink sink;
  };

  void run(const std::stop_token& stop);
  Duration converse(Lock& lock, const std::stop_token& stop);
  Duration use(KeepaliveCall& call, Lock& lock, const std::stop_token& stop);
  Duration broken(Lock& lock, const grpc::Status& status);
  void wait(Lock& lock, const std::stop_token& stop, std::optional<Moment> until);
  void ask(KeepaliveCall& call, Moment now);
  std::optional<Duration> take(Lock& lock, const v1::StreamKeepaliveResponse& answer);
  std::optional<Duration> take_error(Lock& lock, const v1::StreamKeepaliveResponse& answer);
  void tell(Lock& lock, const KeepaliveEvent& event);

  bool is_own_thread() const { return thread_id_ == std::this_thread::get_id(); }

  const std::shared_ptr<Transport> transport_;
  const Pacing pacing_;
  const std::function<double()> random_;
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
  // A sink has returned, or the thread is at its end.
  std::condition_variable told_;
  RenewalPlan plan_;
  std::map<std::uint64_t, Watcher> watchers_;
  std::multimap<std::string, std::uint64_t> tickets_;
  std::uint64_t last_ticket_ = 0;
  std::uint64_t telling_ = 0;
  // Without an end of what is being written by then, the gateway takes nothing.
  Moment write_until_;
  bool answered_ = false;
  bool closed_ = false;
  bool running_ = false;
  std::jthread thread_;
  // Known apart from the thread, which is gone from here while it is joined.
  std::thread::id thread_id_;
};

}  // namespace sessiongateway::detail
