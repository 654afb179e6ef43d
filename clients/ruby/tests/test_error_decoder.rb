# frozen_string_literal: true

require "support/test_case"
require "support/statuses"

class TestErrorDecoder < TestCase
  CODES = GRPC::Core::StatusCodes
  TRANSPORT = %w[CANCELLED DEADLINE_EXCEEDED UNAVAILABLE].freeze

  def decode(status, run: true)
    SessionGateway::ErrorDecoder.from_status(status, run:)
  end

  def test_every_code_of_the_protocol_has_a_class_of_its_own
    names = V1::ErrorCode.constants.map { |name| name.to_s.delete_prefix("ERROR_CODE_") } - ["UNSPECIFIED"]

    assert_equal((names + TRANSPORT).sort, SessionGateway::Error::BY_CODE.keys.sort)
    names.each do |name|
      error = decode(Statuses.from_gateway(CODES::ABORTED, :"ERROR_CODE_#{name}"))

      assert_equal [name, SessionGateway::Error::BY_CODE[name]], [error.code, error.class]
      assert_equal "#{name.split("_").map(&:capitalize).join.delete_suffix("Error")}Error", error.class.name[/\w+\z/]
    end
  end

  def test_an_error_carries_everything_that_the_gateway_said
    delay = Google::Protobuf::Duration.new(seconds: 1, nanos: 500_000_000)
    error = decode(Statuses.from_gateway(
                     CODES::FAILED_PRECONDITION, :ERROR_CODE_SESSION_ENDED,
                     Google::Rpc::RetryInfo.new(retry_delay: delay),
                     metadata: { "sessionId" => "sess_1", "httpStatus" => "410" }, http_status: 410,
                     run_state: :RUN_STATE_UNKNOWN, session_id: "sess_1", end_reason: :END_REASON_WORKER_LOST,
                     call_id: "call_1", worker_exit: V1::WorkerExit.new(signal: 9)
                   ))

    assert_instance_of SessionGateway::SessionEndedError, error
    assert_equal "in words", error.message
    assert_equal ["FAILED_PRECONDITION", 410, 1.5], [error.grpc_status, error.http_status, error.retry_after]
    assert_equal [:unknown, "sess_1", :worker_lost], [error.run_state, error.session_id, error.end_reason]
    assert_equal ["call_1", { signal: 9 }], [error.call_id, error.worker_exit]
    assert_equal({ "sessionId" => "sess_1", "httpStatus" => "410" }, error.metadata)
  end

  def test_wrong_fields_are_listed_with_what_is_wrong
    violation = Google::Rpc::BadRequest::FieldViolation.new(field: "app", description: "is required")
    request = Google::Rpc::BadRequest.new(field_violations: [violation])
    error = decode(Statuses.from_gateway(CODES::INVALID_ARGUMENT, :ERROR_CODE_INVALID_REQUEST, request))

    assert_equal [["app", "is required"]], error.field_violations.map(&:to_a)
  end

  def test_an_error_of_the_app_says_what_was_raised
    failure = V1::AppFailure.new(type: "ValueError", message: "größer", traceback: "File ...")
    error = decode(Statuses.from_gateway(CODES::UNKNOWN, :ERROR_CODE_APP_ERROR, app_failure: failure))

    assert_equal ["ValueError", "größer", "File ..."], error.app_failure.to_a
  end

  def test_a_mismatch_names_both_versions
    error = decode(Statuses.from_gateway(
                     CODES::INVALID_ARGUMENT, :ERROR_CODE_VERSION_MISMATCH,
                     session_app: V1::AppVersion.new(app: "kv", version: "1"),
                     requested_app: V1::AppVersion.new(app: "kv")
                   ))

    assert_equal ["kv@1", "kv"], [error.session_app, error.requested_app]
  end

  def test_an_internal_error_has_the_id_of_its_log_entry
    error = decode(Statuses.from_gateway(CODES::INTERNAL, :ERROR_CODE_INTERNAL, error_id: "err_1"))

    assert_equal "err_1", error.error_id
  end

  def test_a_code_of_a_newer_gateway_is_the_base_class_with_the_gateways_name_for_it
    info = Google::Rpc::ErrorInfo.new(reason: "MOON_TOO_FULL", domain: "sessiongateway")
    detail = V1::ErrorDetail.new(code: 4711, run_state: 9, end_reason: 99, session_id: "sess_1")
    error = decode(Statuses.with_details(CODES::ABORTED, "words", detail, info))

    assert_instance_of SessionGateway::Error, error
    assert_equal ["MOON_TOO_FULL", :unknown_9, :unknown_99], [error.code, error.run_state, error.end_reason]
    assert_equal "sess_1", error.session_id
  end

  def test_a_code_of_a_newer_gateway_in_the_middle_of_a_stream_has_its_number
    error = SessionGateway::ErrorDecoder.from_detail(V1::ErrorDetail.new(code: 4711, message: "words"))

    assert_equal ["UNKNOWN_4711", "words", nil], [error.code, error.message, error.grpc_status]
  end

  def test_the_reason_alone_suffices_to_tell_the_class
    info = Google::Rpc::ErrorInfo.new(
      reason: "SESSION_EXPIRED", domain: "sessiongateway", metadata: { "httpStatus" => "410" }
    )
    error = decode(Statuses.with_details(CODES::FAILED_PRECONDITION, "words", info))

    assert_instance_of SessionGateway::SessionExpiredError, error
    assert_equal 410, error.http_status
  end

  def test_the_reason_of_another_domain_means_nothing_here
    info = Google::Rpc::ErrorInfo.new(reason: "SESSION_EXPIRED", domain: "elsewhere")
    error = decode(Statuses.with_details(CODES::UNIMPLEMENTED, "words", info))

    assert_instance_of SessionGateway::Error, error
    assert_equal ["UNIMPLEMENTED", :unknown], [error.code, error.run_state]
  end

  def test_what_a_proxy_says_is_the_base_class_but_for_what_is_the_transports
    [CODES::INTERNAL, CODES::UNAUTHENTICATED, CODES::PERMISSION_DENIED].each do |code|
      assert_instance_of SessionGateway::Error, decode(Statuses.bare(code, "words"))
    end
    assert_equal "INTERNAL", decode(Statuses.bare(CODES::INTERNAL, "words")).code
    assert_instance_of SessionGateway::DeadlineExceededError, decode(Statuses.bare(CODES::DEADLINE_EXCEEDED, "words"))
  end

  def test_an_error_has_no_other_fields
    assert_raises(ArgumentError) { SessionGateway::Error.new("words", sesion_id: "s") }
  end

  def test_broken_details_do_not_hide_the_status
    error = decode(Statuses.bare(CODES::UNAVAILABLE, "words", "\xff\xff garbage".b), run: false)

    assert_instance_of SessionGateway::UnavailableError, error
    assert_nil error.run_state
  end

  def test_a_cancellation_by_nobody_here_is_a_server_that_went_away
    error = decode(Statuses.bare(CODES::CANCELLED, "words"))

    assert_instance_of SessionGateway::UnavailableError, error
    assert_equal :unknown, error.run_state
  end

  def test_a_cancellation_when_the_time_is_over_is_the_deadline
    error = SessionGateway::ErrorDecoder.from_status(Statuses.bare(CODES::CANCELLED, "words"), run: true, late: true)

    assert_instance_of SessionGateway::DeadlineExceededError, error
    assert_equal :unknown, error.run_state
  end
end
