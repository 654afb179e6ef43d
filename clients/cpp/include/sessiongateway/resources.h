// Sessions and apps as things that a gateway has.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sessiongateway/range.h"
#include "sessiongateway/streams.h"
#include "sessiongateway/types.h"

namespace sessiongateway {

namespace detail {
class Core;
}

/// All items of a list, asked for page by page as the loop gets there. Goes over them once.
template <class Item>
class Pages {
 public:
  struct Page {
    std::vector<Item> items;
    std::string next_token;
  };
  using Fetch = std::function<Page(const std::string& token)>;

  explicit Pages(Fetch fetch) : fetch_(std::move(fetch)) {}

  /// The next item; empty at the end of the last page.
  /// \throws Error A page could not be had.
  std::optional<Item> next() {
    while (position_ == page_.items.size()) {
      if (begun_ && page_.next_token.empty()) return std::nullopt;
      page_ = fetch_(page_.next_token);
      begun_ = true;
      position_ = 0;
    }
    return std::move(page_.items[position_++]);
  }

  /// Everything that is left, over all pages.
  /// \throws Error A page could not be had.
  std::vector<Item> all() {
    std::vector<Item> items;
    while (auto item = next()) items.push_back(std::move(*item));
    return items;
  }

  NextIterator<Pages, Item> begin() { return NextIterator<Pages, Item>(this); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  Fetch fetch_;
  Page page_;
  std::size_t position_ = 0;
  bool begun_ = false;
};

/// Which sessions to list.
struct SessionFilter {
  /// Left out: all.
  std::optional<SessionStatus> status = std::nullopt;
  /// "name" or "name@version". Left out: all.
  std::string app = {};
  /// How many to ask for at a time, 1 to 1000. Left out: 50.
  int page_size = 0;
};

/// Where a watch begins, and what it shows.
struct WatchParams {
  /// Of the last event that was dealt with: what has happened since comes first. Left out: from now.
  std::string resume_token = {};
  /// "name" or "name@version". Left out: all.
  std::string app = {};
  /// Shows `watching` events, too: they only bring fresh tokens.
  bool show_watching = false;
};

/// Reads, watches, renews and ends sessions. These requests are repeated by gRPC when a connection breaks. All of them
/// throw UsageError when the client is closed, or an id or a name is not UTF-8.
class Sessions {
 public:
  explicit Sessions(std::shared_ptr<detail::Core> core) : core_(std::move(core)) {}

  /// The session as it is now, finished ones too. Does not extend its life.
  /// \throws Error SessionNotFoundError and what the transport gives.
  SessionInfo get(const std::string& session_id, const CallOptions& options = {}) const;

  /// The caller's sessions, the newest first. The options hold for each page.
  [[nodiscard]] Pages<SessionInfo> list(SessionFilter filter = {}, CallOptions options = {}) const;

  /// Sets `expires_at` to now plus the session's timeout.
  /// \throws Error SessionNotFoundError, SessionExpiredError, SessionEndedError and what the transport gives.
  SessionInfo keepalive(const std::string& session_id, const CallOptions& options = {}) const;

  /// Ends a session and releases its worker. One that has finished is returned as it is.
  /// \throws Error SessionNotFoundError and what the transport gives.
  SessionInfo end(const std::string& session_id, const CallOptions& options = {}) const;

  /// Watches the caller's sessions; returns once the watch stands: what happens from then on is told.
  /// \throws Error The gateway cannot be reached, or refuses the token or the app.
  [[nodiscard]] WatchStream watch(WatchParams params = {}, const CallOptions& options = {}) const;

 private:
  std::shared_ptr<detail::Core> core_;
};

/// Tells what is deployed.
class Apps {
 public:
  explicit Apps(std::shared_ptr<detail::Core> core) : core_(std::move(core)) {}

  /// One app with its functions: "name" or "name@version".
  /// \throws Error AppNotFoundError, VersionNotFoundError, AppStartFailedError and what the transport gives.
  AppInfo get(const std::string& app, const CallOptions& options = {}) const;

  /// All apps, without functions, by name. The options hold for each page.
  [[nodiscard]] Pages<AppInfo> list(int page_size = 0, CallOptions options = {}) const;

 private:
  std::shared_ptr<detail::Core> core_;
};

}  // namespace sessiongateway
