#include "transport.h"

#include <grpc/support/time.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "channel.h"
#include "error_decoding.h"

namespace sessiongateway::detail {

namespace {

/// gRPC cannot be told to stop waiting for a connection, so a caller who cancels meanwhile is heard this often.
constexpr Duration kGlance = std::chrono::milliseconds(50);

gpr_timespec grpc_moment(Duration from_now) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(from_now.count(), GPR_TIMESPAN));
}

}  // namespace

void Deadline::apply(grpc::ClientContext& context) const {
  if (const auto left = remaining()) context.set_deadline(grpc_moment(std::max(*left, Duration::zero())));
}

bool pause(Duration wait, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_until(lock, stop, moment_after(wait), [] { return false; });
  return !stop.stop_requested();
}

Transport::Transport(const ClientOptions& options)
    : address_(address_of(options)),
      authorization_(authorization_of(options)),
      connection_(std::make_shared<Connection>(make_channel(address_, options.tls))) {}

v1::RunResponse Transport::run(const v1::RunRequest& request, const Deadline& deadline, const std::stop_token& stop) {
  const auto connection = open(stop, RunState::not_started);
  connect(*connection->channel, deadline, stop);
  return call(*connection->sessions, &v1::SessionService::Stub::Run, request, deadline, stop, true);
}

std::shared_ptr<RunStreamCall> Transport::run_stream(const v1::RunRequest& request, const Deadline& deadline,
                                                     const std::stop_token& stop) {
  auto connection = open(stop, RunState::not_started);
  connect(*connection->channel, deadline, stop);
  auto call = std::make_shared<RunStreamCall>(connection->in_flight, request);
  prepare(call->context());
  deadline.apply(call->context());
  connection->sessions->async()->RunStream(&call->context(), &call->request(), call.get());
  call->start();
  let_go(std::move(connection), [&call] { call->cancel(); });
  return call;
}

std::shared_ptr<WatchCall> Transport::watch(v1::WatchSessionsRequest request) {
  auto connection = this->connection();
  if (!connection) return nullptr;
  auto call = std::make_shared<WatchCall>(connection->in_flight, std::move(request));
  prepare(call->context());
  connection->sessions->async()->WatchSessions(&call->context(), &call->request(), call.get());
  call->start();
  let_go(std::move(connection), [&call] { call->cancel(); });
  return call;
}

std::shared_ptr<KeepaliveCall> Transport::keepalive(const std::shared_ptr<Connection>& connection,
                                                    std::function<void()> notify) {
  auto call = std::make_shared<KeepaliveCall>(connection->in_flight, std::move(notify));
  prepare(call->context());
  connection->sessions->async()->StreamKeepalive(&call->context(), call.get());
  call->start();
  return call;
}

std::shared_ptr<Connection> Transport::connection() const {
  const std::lock_guard lock(mutex_);
  return connection_;
}

void Transport::disconnect() noexcept {
  std::shared_ptr<Connection> last;
  const std::lock_guard lock(mutex_);
  last = std::move(connection_);
}

void Transport::fail(const grpc::Status& status, const std::stop_token& stop, bool is_run) const {
  const auto run_state = is_run ? std::optional(RunState::unknown) : std::nullopt;
  const bool is_bare = status.error_details().empty();
  if (is_bare && status.error_code() == grpc::StatusCode::CANCELLED && stop.stop_requested()) {
    fail_cancelled(run_state);
  }
  throw_error(decode(status, is_run));
}

void Transport::fail_cancelled(std::optional<RunState> run_state) const {
  const bool by_client = closing_.stop_requested();
  throw_error(transport_error(
      "CANCELLED", by_client ? "the client was closed during the request" : "the request was cancelled", run_state));
}

void Transport::refuse_closed() const {
  if (closing_.stop_requested()) throw UsageError("the client is closed");
}

void Transport::prepare(grpc::ClientContext& context) const {
  if (authorization_) context.AddMetadata("authorization", *authorization_);
}

/// The connection for a request; one that its caller does not want any more is not begun.
std::shared_ptr<Connection> Transport::open(const std::stop_token& stop, std::optional<RunState> run_state) const {
  auto connection = this->connection();
  if (!connection || stop.stop_requested()) fail_cancelled(run_state);
  return connection;
}

/// Gives the connection up after a call was started. If the client is closed meanwhile its last owner may be here, and
/// waits for the call, of which nobody else knows yet.
void Transport::let_go(std::shared_ptr<Connection> connection, const std::function<void()>& cancel) const {
  const std::stop_callback on_close(closing_.get_token(), cancel);
  connection.reset();
}

// A run that fails without a connection can be told from one that was cut off only before it is sent.
void Transport::connect(grpc::Channel& channel, const Deadline& deadline, const std::stop_token& stop) const {
  for (;;) {
    if (stop.stop_requested()) fail_cancelled(RunState::not_started);
    const grpc_connectivity_state state = channel.GetState(true);
    if (state == GRPC_CHANNEL_READY) return;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) {
      throw_error(transport_error("UNAVAILABLE", "no connection to " + address_, RunState::not_started));
    }
    if (deadline.passed()) {
      throw_error(transport_error("DEADLINE_EXCEEDED", "no connection to " + address_ + " in the time given",
                                  RunState::not_started));
    }
    const Duration left = deadline.remaining().value_or(kGlance);
    channel.WaitForStateChange(state, grpc_moment(std::min(left, kGlance)));
  }
}

}  // namespace sessiongateway::detail
