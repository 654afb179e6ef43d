// One keepalive stream, for the thread that renews.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "in_flight.h"
#include "sessiongateway/v1/sessions.pb.h"

namespace sessiongateway::detail {

/// Holds one message of each direction at a time, and tells its owner when there is something to do. Whoever has
/// started it must cancel it. It keeps itself alive until gRPC has done with it.
class KeepaliveCall final : public grpc::ClientBidiReactor<v1::StreamKeepaliveRequest, v1::StreamKeepaliveResponse>,
                            public std::enable_shared_from_this<KeepaliveCall> {
 public:
  /// `notify` is called by gRPC's threads, without a lock of this object.
  KeepaliveCall(InFlight& all, std::function<void()> notify) : ticket_(all), notify_(std::move(notify)) {}

  /// For whoever starts it.
  grpc::ClientContext& context() { return *context_; }

  /// Begins, after the stub was given this reactor.
  void start() {
    self_ = shared_from_this();
    AddHold();
    reading_ = true;
    StartRead(&answer_);
    StartCall();
  }

  /// Whether a message can be written now.
  bool can_write() const {
    const std::lock_guard lock(mutex_);
    return !writing_ && held_;
  }

  /// Whether a message is on its way that gRPC has not yet taken.
  bool is_writing() const {
    const std::lock_guard lock(mutex_);
    return writing_;
  }

  void write(v1::StreamKeepaliveRequest request) {
    const std::lock_guard lock(mutex_);
    if (writing_ || !held_) return;
    writing_ = true;
    request_ = std::move(request);
    StartWrite(&request_);
  }

  /// The answer that has come, if there is one; asks for the next.
  std::optional<v1::StreamKeepaliveResponse> take() {
    const std::lock_guard lock(mutex_);
    if (!ready_) return std::nullopt;
    ready_ = false;
    std::optional answer(std::move(answer_));
    if (held_) {
      reading_ = true;
      StartRead(&answer_);
    }
    return answer;
  }

  /// How the stream ended, if it has.
  std::optional<grpc::Status> ended() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  void cancel() noexcept {
    std::unique_lock lock(mutex_);
    const auto context = context_;
    lock.unlock();
    if (context) context->TryCancel();
    lock.lock();
    if (!reading_) release();
  }

  void OnReadDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      reading_ = false;
      ready_ = ok;
      if (!ok) release();
    }
    notify_();
  }

  void OnWriteDone(bool /*ok*/) override {
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
    }
    notify_();
  }

  void OnDone(const grpc::Status& status) override {
    // Destroyed last, since it may hold the only reference to this.
    const auto self = std::move(self_);
    std::unique_lock lock(mutex_);
    status_ = status;
    auto context = std::move(context_);
    lock.unlock();
    notify_();
    // It refers to the channel, which must be able to go while somebody still has this.
    context.reset();
    ticket_.give_back();
  }

 private:
  void release() {
    if (std::exchange(held_, false)) RemoveHold();
  }

  InFlight::Ticket ticket_;
  const std::function<void()> notify_;
  std::shared_ptr<grpc::ClientContext> context_ = std::make_shared<grpc::ClientContext>();
  std::shared_ptr<KeepaliveCall> self_;
  mutable std::mutex mutex_;
  v1::StreamKeepaliveRequest request_;
  v1::StreamKeepaliveResponse answer_;
  std::optional<grpc::Status> status_;
  bool held_ = true;
  bool reading_ = false;
  bool writing_ = false;
  bool ready_ = false;
};

}  // namespace sessiongateway::detail
