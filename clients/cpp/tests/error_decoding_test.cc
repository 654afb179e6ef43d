#include "error_decoding.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>

#include <typeinfo>

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;

google::rpc::ErrorInfo reason(const std::string& name) {
  google::rpc::ErrorInfo info;
  info.set_domain("sessiongateway");
  info.set_reason(name);
  (*info.mutable_metadata())["httpStatus"] = "410";
  return info;
}

template <class... Details>
grpc::Status status(grpc::StatusCode code, const Details&... details) {
  google::rpc::Status packed;
  (packed.add_details()->PackFrom(details), ...);
  return {code, "told", packed.SerializeAsString()};
}

ErrorInfo decoded(const grpc::Status& status) {
  return detail::decode(status, true);
}

TEST(ErrorDecoding, EveryCodeOfTheProtocolHasAClassOfItsOwn) {
  const auto* codes = v1::ErrorCode_descriptor();
  for (int index = 0; index < codes->value_count(); ++index) {
    if (codes->value(index)->number() == 0) continue;
    v1::ErrorDetail detail;
    detail.set_code(static_cast<v1::ErrorCode>(codes->value(index)->number()));
    const auto error = make_error(detail::decode(detail));
    EXPECT_EQ("ERROR_CODE_" + error->code(), codes->value(index)->name());
    const Error& made = *error;
    EXPECT_NE(typeid(made), typeid(Error)) << error->code();
  }
}

TEST(ErrorDecoding, AnErrorHasEverythingThatItsDetailsSay) {
  v1::ErrorDetail detail;
  detail.set_code(v1::ERROR_CODE_SESSION_ENDED);
  detail.set_http_status(410);
  detail.set_run_state(v1::RUN_STATE_NOT_STARTED);
  detail.set_session_id("sess_x");
  detail.set_end_reason(v1::END_REASON_WORKER_LOST);
  detail.set_call_id("call_x");
  detail.mutable_retry_after()->set_seconds(2);
  detail.mutable_worker_exit()->set_signal(9);
  detail.mutable_session_app()->set_app("kv");
  detail.mutable_session_app()->set_version("1");
  google::rpc::BadRequest request;
  auto* violation = request.add_field_violations();
  violation->set_field("app");
  violation->set_description("is empty");

  const auto info = decoded(status(grpc::StatusCode::FAILED_PRECONDITION, reason("SESSION_ENDED"), detail, request));

  EXPECT_EQ(info.code, "SESSION_ENDED");
  EXPECT_EQ(info.message, "told");
  EXPECT_EQ(info.grpc_status, "FAILED_PRECONDITION");
  EXPECT_EQ(info.http_status, 410);
  EXPECT_EQ(info.run_state, RunState::not_started);
  EXPECT_EQ(info.session_id, "sess_x");
  EXPECT_EQ(info.end_reason, EndReason::worker_lost);
  EXPECT_EQ(info.call_id, "call_x");
  EXPECT_EQ(info.retry_after, 2s);
  EXPECT_EQ(info.worker_exit, (WorkerExit{.exit_code = {}, .signal = 9}));
  EXPECT_EQ(info.session_app, "kv@1");
  ASSERT_EQ(info.field_violations.size(), 1U);
  EXPECT_EQ(info.field_violations[0].first, "app");
  EXPECT_EQ(info.metadata.at("httpStatus"), "410");
  EXPECT_THROW(throw_error(info), SessionEndedError);
}

TEST(ErrorDecoding, ACodeThatIsNotKnownIsTheBaseErrorWithTheReasonOfTheGateway) {
  v1::ErrorDetail detail;
  detail.set_code(static_cast<v1::ErrorCode>(4711));
  detail.set_end_reason(static_cast<v1::EndReason>(4712));
  const auto info = decoded(status(grpc::StatusCode::ABORTED, reason("SESSION_ON_FIRE"), detail));
  EXPECT_EQ(info.code, "SESSION_ON_FIRE");
  EXPECT_EQ(to_string(info.end_reason.value()), "unknown_4712");
  const auto error = make_error(info);
  const Error& made = *error;
  EXPECT_EQ(typeid(made), typeid(Error));
}

TEST(ErrorDecoding, ACodeThatIsNotKnownKeepsItsNumberWithoutAReason) {
  v1::ErrorDetail detail;
  detail.set_code(static_cast<v1::ErrorCode>(4711));
  EXPECT_EQ(detail::decode(detail).code, "UNKNOWN_4711");
}

TEST(ErrorDecoding, TheReasonAloneIsEnough) {
  const auto info = decoded(status(grpc::StatusCode::FAILED_PRECONDITION, reason("SESSION_EXPIRED")));
  EXPECT_EQ(info.http_status, 410);
  EXPECT_THROW(throw_error(info), SessionExpiredError);
}

TEST(ErrorDecoding, AReasonOfSomebodyElseIsNotOurs) {
  auto info = reason("SESSION_EXPIRED");
  info.set_domain("example.com");
  EXPECT_EQ(decoded(status(grpc::StatusCode::FAILED_PRECONDITION, info)).code, "FAILED_PRECONDITION");
}

TEST(ErrorDecoding, GarbageInPlaceOfDetailsLeavesTheStatus) {
  const auto info = decoded({grpc::StatusCode::UNAVAILABLE, "gone", "\xff\xff garbage"});
  EXPECT_EQ(info.code, "UNAVAILABLE");
  EXPECT_EQ(info.run_state, RunState::unknown);
  EXPECT_THROW(throw_error(info), UnavailableError);
}

TEST(ErrorDecoding, AStatusThatNoGatewayMadeIsTheBaseErrorWithItsName) {
  for (const auto code :
       {grpc::StatusCode::INTERNAL, grpc::StatusCode::UNAUTHENTICATED, grpc::StatusCode::PERMISSION_DENIED}) {
    const auto error = make_error(decoded({code, "made by a proxy"}));
    const Error& made = *error;
    EXPECT_EQ(typeid(made), typeid(Error)) << error->code();
    const auto again = make_error(error->info());
    const Error& copied = *again;
    EXPECT_EQ(typeid(copied), typeid(Error)) << error->code();
  }
  EXPECT_THROW(throw_error(decoded(status(grpc::StatusCode::INTERNAL, reason("INTERNAL")))), InternalError);
}

TEST(ErrorDecoding, OnlyRunsHaveARunState) {
  EXPECT_FALSE(detail::decode({grpc::StatusCode::DEADLINE_EXCEEDED, ""}, false).run_state);
  EXPECT_THROW(throw_error(decoded({grpc::StatusCode::DEADLINE_EXCEEDED, ""})), DeadlineExceededError);
}

TEST(ErrorDecoding, ACancellationThatNobodyAskedForIsAServerThatWentAway) {
  EXPECT_EQ(decoded({grpc::StatusCode::CANCELLED, ""}).code, "UNAVAILABLE");
}

TEST(ErrorDecoding, AKeptErrorIsThrownAsWhatItIs) {
  const auto kept = make_error({.code = "WORKER_LOST", .message = "it died"});
  try {
    kept->raise();
  } catch (const WorkerLostError& error) {
    EXPECT_STREQ(error.what(), "WORKER_LOST: it died");
    return;
  }
}

}  // namespace
}  // namespace sessiongateway
