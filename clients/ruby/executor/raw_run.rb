# frozen_string_literal: true

require "google/rpc/error_details_pb"
require "google/rpc/status_pb"
require "sessiongateway/v1/sessions_services_pb"

# A run over the bare generated stub: neither it nor its errors need the client.
module RawRun
  V1 = SessionGateway::V1

  # The error of a raw run, read from the details of its status.
  class Failure < StandardError
    attr_reader :fields

    def initialize(fields)
      super(fields[:message])
      @fields = fields
    end
  end

  class << self
    def call(address, api_key, bytes)
      stub = V1::SessionService::Stub.new(address, :this_channel_is_insecure)
      metadata = api_key ? { "authorization" => "Bearer #{api_key}" } : {}
      V1::RunResponse.encode(stub.run(V1::RunRequest.decode(bytes), metadata:))
    rescue GRPC::BadStatus => e
      raise Failure, read(e)
    end

    private

    def read(status)
      detail = unpack(status, V1::ErrorDetail)
      info = unpack(status, Google::Rpc::ErrorInfo)
      grpc_status = GRPC::Core::StatusCodes.constants.find do |name|
        GRPC::Core::StatusCodes.const_get(name) == status.code
      end
      {
        code: info&.reason || grpc_status, message: status.details, grpc_status:, class: status.class.name,
        metadata: info&.metadata.to_h, field_violations: violations(unpack(status, Google::Rpc::BadRequest)),
        **(detail ? known(detail) : {})
      }
    end

    def unpack(status, type)
      status.to_rpc_status&.details&.find { |packed| packed.is(type) }&.unpack(type)
    end

    def violations(request)
      request.nil? ? [] : request.field_violations.map { |each| [each.field, each.description] }
    end

    def known(detail)
      {
        http_status: detail.http_status, call_id: detail.call_id.empty? ? nil : detail.call_id,
        session_id: detail.session_id.empty? ? nil : detail.session_id,
        run_state: detail.run_state.to_s.delete_prefix("RUN_STATE_").downcase,
        app_failure: detail.app_failure&.to_h
      }
    end
  end
end
