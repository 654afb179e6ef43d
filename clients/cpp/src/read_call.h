// A call whose answer is a stream of messages, read one at a time by a thread that waits.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "deadline.h"
#include "in_flight.h"

namespace sessiongateway::detail {

/// Asks gRPC for a message only when somebody waits for one, so that a slow reader slows the sender.
///
/// Whoever owns a call that was started must cancel it, or read it to its end. It keeps itself alive until gRPC has
/// done with it.
template <class Request, class Response>
class ReadCall final : public grpc::ClientReadReactor<Response>,
                       public std::enable_shared_from_this<ReadCall<Request, Response>> {
 public:
  enum class Outcome { message, finished, interrupted };

  ReadCall(InFlight& all, Request request) : ticket_(all), request_(std::move(request)) {}

  /// For whoever starts it.
  grpc::ClientContext& context() { return *context_; }
  const Request& request() const { return request_; }

  /// Begins, after the stub was given this reactor.
  void start() {
    self_ = this->shared_from_this();
    // Reads are begun from outside of reactions; without a hold gRPC could be done before one is.
    this->AddHold();
    this->StartCall();
  }

  /// Waits for the next message, the end, the moment, or a request to stop waiting, whichever is first. The latter two
  /// leave the call as it is: the next wait takes what comes.
  Outcome wait(Response& message, std::optional<Moment> until, const std::stop_token& stop = {}) {
    std::unique_lock lock(mutex_);
    if (!ready_ && !reading_ && held_) {
      reading_ = true;
      this->StartRead(&message_);
    }
    const auto is_over = [this] { return ready_ || done_; };
    if (until) {
      changed_.wait_until(lock, stop, *until, is_over);
    } else {
      changed_.wait(lock, stop, is_over);
    }
    if (ready_) {
      ready_ = false;
      message = std::move(message_);
      return Outcome::message;
    }
    return done_ ? Outcome::finished : Outcome::interrupted;
  }

  /// How it ended, once `wait` has returned `finished`.
  const grpc::Status& status() const { return status_; }

  /// Ends the call on the gateway too. May be called at any time, by any thread.
  void cancel() noexcept {
    std::unique_lock lock(mutex_);
    const auto context = context_;
    lock.unlock();
    if (context) context->TryCancel();
    lock.lock();
    if (!reading_) release();
  }

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    reading_ = false;
    ready_ = ok;
    if (!ok) release();
    changed_.notify_all();
  }

  void OnDone(const grpc::Status& status) override {
    // Destroyed last, since it may hold the only reference to this.
    const auto self = std::move(self_);
    std::unique_lock lock(mutex_);
    status_ = status;
    done_ = true;
    auto context = std::move(context_);
    changed_.notify_all();
    lock.unlock();
    // It refers to the channel, which must be able to go while somebody still has this.
    context.reset();
    ticket_.give_back();
  }

 private:
  void release() {
    if (std::exchange(held_, false)) this->RemoveHold();
  }

  InFlight::Ticket ticket_;
  std::shared_ptr<grpc::ClientContext> context_ = std::make_shared<grpc::ClientContext>();
  const Request request_;
  std::shared_ptr<ReadCall> self_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  Response message_;
  grpc::Status status_;
  bool held_ = true;
  bool reading_ = false;
  bool ready_ = false;
  bool done_ = false;
};

}  // namespace sessiongateway::detail
