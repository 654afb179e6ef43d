#include "renewer.h"

#include <algorithm>
#include <utility>

#include "convert.h"
#include "error_decoding.h"

namespace sessiongateway::detail {

namespace {

/// The gateway takes no more in one message.
constexpr std::size_t kIdsPerMessage = 1000;

}  // namespace

Renewer::Renewer(std::shared_ptr<Transport> transport, Pacing pacing, std::function<double()> random)
    : transport_(std::move(transport)),
      pacing_(std::move(pacing)),
      random_(std::move(random)),
      plan_(pacing_.reply_timeout) {}

std::uint64_t Renewer::add(const std::string& session_id, Sink sink) {
  const Lock lock(bell_->mutex);
  if (closed_) throw UsageError("the client is closed");
  const std::uint64_t ticket = ++last_ticket_;
  watchers_.emplace(ticket, Watcher{session_id, std::move(sink)});
  tickets_.emplace(session_id, ticket);
  plan_.add(session_id, Clock::now());
  if (!running_) {
    thread_ = std::jthread([self = shared_from_this()](const std::stop_token& stop) { self->run(stop); });
    thread_id_ = thread_.get_id();
    running_ = true;
  }
  bell_->ring();
  return ticket;
}

void Renewer::discard(std::uint64_t ticket) noexcept {
  Lock lock(bell_->mutex);
  if (const auto found = watchers_.find(ticket); found != watchers_.end()) {
    const std::string session_id = found->second.session_id;
    watchers_.erase(found);
    const auto [first, last] = tickets_.equal_range(session_id);
    const auto own = std::find_if(first, last, [ticket](const auto& each) { return each.second == ticket; });
    // Not there while the session's loss is being told to another of its watchers.
    if (own != last) tickets_.erase(own);
    if (!tickets_.contains(session_id)) plan_.remove(session_id);
    bell_->ring();
  }
  if (!is_own_thread()) told_.wait(lock, [&] { return telling_ != ticket; });
}

void Renewer::close() noexcept {
  Lock lock(bell_->mutex);
  closed_ = true;
  watchers_.clear();
  tickets_.clear();
  plan_.clear();
  // Whoever closes first has the thread; others wait for its end.
  std::jthread thread = std::move(thread_);
  if (is_own_thread()) {
    thread.request_stop();
    if (thread.joinable()) thread.detach();
  } else if (thread.joinable()) {
    lock.unlock();
    thread.request_stop();
    thread.join();
  } else {
    told_.wait(lock, [this] { return !running_; });
  }
}

void Renewer::run(const std::stop_token& stop) {
  Lock lock(bell_->mutex);
  int attempt = 0;
  while (!stop.stop_requested()) {
    if (plan_.empty()) {
      wait(lock, stop, std::nullopt);
      continue;
    }
    const Duration told_to_wait = converse(lock, stop);
    if (plan_.empty() || stop.stop_requested()) continue;
    attempt = answered_ ? 0 : attempt + 1;
    const Duration wait = std::max(told_to_wait, pacing_.reconnect.delay(attempt, random_()));
    lock.unlock();
    pause(wait, stop);
    lock.lock();
  }
  running_ = false;
  told_.notify_all();
}

/// Opens one stream and uses it until it breaks or nothing is left to renew; returns how long the gateway asks to wait.
Duration Renewer::converse(Lock& lock, const std::stop_token& stop) {
  auto connection = transport_->connection();
  if (!connection) return {};
  answered_ = false;
  plan_.restart(Clock::now());
  write_until_ = Clock::now() + pacing_.reply_timeout;
  auto call = transport_->keepalive(connection, [bell = bell_] {
    const std::lock_guard guard(bell->mutex);
    bell->ring();
  });
  const Duration told_to_wait = use(*call, lock, stop);
  // The last owner of the connection waits for the call's end, which rings.
  lock.unlock();
  call->cancel();
  connection.reset();
  lock.lock();
  return told_to_wait;
}

Duration Renewer::use(KeepaliveCall& call, Lock& lock, const std::stop_token& stop) {
  while (!stop.stop_requested() && !plan_.empty()) {
    bell_->news = false;
    if (const auto answer = call.take()) {
      if (const auto told_to_wait = take(lock, *answer)) return *told_to_wait;
      continue;
    }
    if (const auto status = call.ended()) return broken(lock, *status);
    const Moment now = Clock::now();
    if (plan_.is_overdue(now)) break;
    ask(call, now);
    if (call.can_write()) {
      wait(lock, stop, plan_.next_moment());
    } else if (!call.is_writing()) {
      // It has ended; how is about to be told.
      wait(lock, stop, plan_.overdue_moment());
    } else {
      if (write_until_ <= now) break;
      // Whatever is due meanwhile has to wait for that write.
      wait(lock, stop, std::min(write_until_, plan_.overdue_moment().value_or(write_until_)));
    }
  }
  return {};
}

Duration Renewer::broken(Lock& lock, const grpc::Status& status) {
  const auto failure = make_error(decode(status, false));
  if (is_final(status.error_code())) {
    std::vector<std::string> lost;
    for (const auto& [session_id, ticket] : tickets_) {
      if (lost.empty() || lost.back() != session_id) lost.push_back(session_id);
    }
    for (const auto& session_id : lost) tell(lock, KeepaliveEvent{session_id, std::nullopt, failure});
  }
  return failure->retry_after().value_or(Duration::zero());
}

void Renewer::wait(Lock& lock, const std::stop_token& stop, std::optional<Moment> until) {
  const auto has_news = [this] { return std::exchange(bell_->news, false); };
  if (until) {
    bell_->changed.wait_until(lock, stop, *until, has_news);
  } else {
    bell_->changed.wait(lock, stop, has_news);
  }
}

void Renewer::ask(KeepaliveCall& call, Moment now) {
  if (!call.can_write()) return;
  const auto due = plan_.take_due(now, kIdsPerMessage, random_());
  if (due.empty()) return;
  v1::StreamKeepaliveRequest request;
  request.mutable_session_ids()->Add(due.begin(), due.end());
  call.write(std::move(request));
  write_until_ = now + pacing_.reply_timeout;
}

/// Returns how long to wait before all sessions are asked about again, if the answer says so.
std::optional<Duration> Renewer::take(Lock& lock, const v1::StreamKeepaliveResponse& answer) {
  answered_ = true;
  const std::string& session_id = answer.session_id();
  if (!plan_.contains(session_id)) return std::nullopt;
  switch (answer.outcome_case()) {
    case v1::StreamKeepaliveResponse::kSession:
      plan_.answered(session_id, std::chrono::seconds(answer.session().session_timeout()));
      tell(lock, KeepaliveEvent{session_id, session_info(answer.session()), nullptr});
      break;
    case v1::StreamKeepaliveResponse::kError:
      return take_error(lock, answer);
    case v1::StreamKeepaliveResponse::OUTCOME_NOT_SET:
      plan_.answered(session_id, std::chrono::seconds::zero());
      break;
  }
  return std::nullopt;
}

std::optional<Duration> Renewer::take_error(Lock& lock, const v1::StreamKeepaliveResponse& answer) {
  auto error = make_error(decode(answer.error()));
  // No session is lost then, and none can be renewed.
  if (error->code() == StoreUnavailableError::kCode) return error->retry_after().value_or(Duration::zero());
  tell(lock, KeepaliveEvent{answer.session_id(), std::nullopt, std::move(error)});
  return std::nullopt;
}

/// Calls the sinks of a session, without the lock. A loss is the last that they hear.
void Renewer::tell(Lock& lock, const KeepaliveEvent& event) {
  std::vector<std::uint64_t> tickets;
  const auto [first, last] = tickets_.equal_range(event.session_id);
  for (auto each = first; each != last; ++each) tickets.push_back(each->second);
  if (event.error) {
    plan_.remove(event.session_id);
    tickets_.erase(event.session_id);
  }
  for (const std::uint64_t ticket : tickets) {
    const auto found = watchers_.find(ticket);
    // Another sink may have discarded it.
    if (found == watchers_.end()) continue;
    const Sink sink = found->second.sink;
    if (event.error) watchers_.erase(found);
    telling_ = ticket;
    lock.unlock();
    sink(event);
    lock.lock();
    telling_ = 0;
    told_.notify_all();
  }
}

}  // namespace sessiongateway::detail
