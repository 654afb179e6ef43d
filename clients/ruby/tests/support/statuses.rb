# frozen_string_literal: true

require "google/rpc/error_details_pb"
require "google/rpc/status_pb"
require "grpc"

# Statuses as a gateway sends them.
module Statuses
  V1 = SessionGateway::V1

  module_function

  def any(message)
    Google::Protobuf::Any.pack(message)
  end

  # Returns the status of a gateway with an ErrorDetail and an ErrorInfo.
  def from_gateway(grpc_code, code, *others, message: "in words", metadata: {}, **detail)
    reason = code.to_s.delete_prefix("ERROR_CODE_")
    with_details(
      grpc_code, message,
      V1::ErrorDetail.new(code:, message:, **detail),
      Google::Rpc::ErrorInfo.new(reason:, domain: "sessiongateway", metadata:), *others
    )
  end

  def with_details(grpc_code, message, *details)
    status = Google::Rpc::Status.new(code: grpc_code, message:, details: details.map { |each| any(each) })
    bare(grpc_code, message, Google::Rpc::Status.encode(status))
  end

  def bare(grpc_code, message, bytes = nil)
    GRPC::BadStatus.new_status_exception(grpc_code, message, bytes ? { "grpc-status-details-bin" => bytes } : {})
  end

  def draining(retry_after: nil)
    later = retry_after && Google::Protobuf::Duration.new(seconds: 0, nanos: (retry_after * 1e9).to_i)
    from_gateway(
      GRPC::Core::StatusCodes::UNAVAILABLE, :ERROR_CODE_GATEWAY_DRAINING, run_state: :RUN_STATE_NOT_STARTED,
                                                                          retry_after: later
    )
  end
end
