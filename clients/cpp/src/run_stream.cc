#include <utility>

#include "convert.h"
#include "held.h"
#include "run_stream_state.h"
#include "session_state.h"
#include "sessiongateway/streams.h"

namespace sessiongateway {

namespace detail {

namespace {

/// For the status behind a result. It usually comes along with it; without it the gateway would take the call for one
/// that its caller has left. Nobody who has the result waits longer.
constexpr Duration kStatusWait = std::chrono::seconds(1);

}  // namespace

RunStreamState::RunStreamState(std::shared_ptr<Core> core, v1::RunRequest request, const CallOptions& options,
                               std::shared_ptr<SessionState> session)
    : core_(std::move(core)),
      request_(std::move(request)),
      timeout_(options.timeout),
      session_(std::move(session)),
      cancelled_(options.stop, core_->transport->closed()) {}

std::optional<std::string> RunStreamState::next() {
  const std::lock_guard lock(reading_);
  if (over_) return std::nullopt;
  // The thread that had the last part waits for its turn from now on, like any other.
  if (turn_) session_->read_by_nobody();
  try {
    auto part = begun_ ? core_->runner.read(*call_, cancelled_.token()) : begin();
    return deliver(std::move(part));
  } catch (...) {
    drop();
    throw;
  }
}

v1::RunStreamResponse RunStreamState::begin() {
  begun_ = true;
  core_->transport->refuse_closed();
  const Deadline deadline = core_->deadline(timeout_);
  if (session_) turn_ = session_->enter(request_, deadline, cancelled_.token());
  auto begun = core_->runner.begin(request_, deadline, cancelled_.token());
  call_ = std::move(begun.call);
  on_cancel_.emplace(cancelled_.token(), [call = call_] { call->cancel(); });
  return std::move(begun.part);
}

std::optional<std::string> RunStreamState::deliver(v1::RunStreamResponse part) {
  // A part of a kind that only a newer gateway knows is passed over.
  while (part.part_case() == v1::RunStreamResponse::PART_NOT_SET) {
    part = core_->runner.read(*call_, cancelled_.token());
  }
  if (part.has_result()) {
    finish(std::move(*part.mutable_result()));
    return std::nullopt;
  }
  if (turn_) session_->read_by_caller();
  return partial_output(std::move(part));
}

void RunStreamState::finish(v1::RunResponse&& response) {
  result_ = run_result(std::move(response));
  v1::RunStreamResponse nothing;
  call_->wait(nothing, moment_after(kStatusWait));
  if (session_) session_->took(std::move(turn_), *result_);
  drop();
}

const RunResult& RunStreamState::result() const {
  if (!result_) throw UsageError("the stream has no result: it was not read to its end, was closed, or failed");
  return *result_;
}

void RunStreamState::close() noexcept {
  cancelled_.request();
  const std::lock_guard lock(reading_);
  drop();
}

void RunStreamState::drop() noexcept {
  over_ = true;
  on_cancel_.reset();
  if (const auto call = std::exchange(call_, nullptr)) call->cancel();
  turn_.give_back();
}

}  // namespace detail

RunStream::RunStream(std::shared_ptr<detail::RunStreamState> state) : state_(std::move(state)) {}

RunStream& RunStream::operator=(RunStream&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
  }
  return *this;
}

RunStream::~RunStream() {
  close();
}

std::optional<std::string> RunStream::next() {
  return detail::held(state_).next();
}

const RunResult& RunStream::result() const {
  return detail::held(state_).result();
}

RunResult RunStream::finish() {
  while (next()) {
  }
  return result();
}

void RunStream::close() noexcept {
  if (state_) state_->close();
}

}  // namespace sessiongateway
