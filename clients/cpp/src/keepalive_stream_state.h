// What happens to the sessions of a KeepaliveStream, until it is read.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "core.h"
#include "sessiongateway/streams.h"

namespace sessiongateway::detail {

class KeepaliveStreamState : public std::enable_shared_from_this<KeepaliveStreamState> {
 public:
  explicit KeepaliveStreamState(std::shared_ptr<Core> core);

  void renew(const std::vector<std::string>& session_ids);
  std::optional<KeepaliveEvent> next(const WaitOptions& options);
  bool ended() const;
  void close() noexcept;

 private:
  void put(const KeepaliveEvent& event);

  const std::shared_ptr<Core> core_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<KeepaliveEvent> events_;
  std::set<std::string> live_;
  std::vector<std::uint64_t> tickets_;
  // The last member, since it may call `close` as soon as it is there.
  std::stop_callback<std::function<void()>> on_client_close_;
};

}  // namespace sessiongateway::detail
