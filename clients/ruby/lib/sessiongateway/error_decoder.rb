# frozen_string_literal: true

require "google/rpc/error_details_pb"
require "google/rpc/status_pb"
require "grpc"
require "sessiongateway/convert"
require "sessiongateway/errors"
require "sessiongateway/v1/errors_pb"

module SessionGateway
  # From a gRPC status to an exception: the only place that does it.
  #
  # @api private
  module ErrorDecoder
    DOMAIN = "sessiongateway"
    STATUS_KEY = "grpc-status-details-bin"
    DETAILS = [V1::ErrorDetail, Google::Rpc::ErrorInfo, Google::Rpc::RetryInfo, Google::Rpc::BadRequest].freeze
    STATUS_NAMES = GRPC::Core::StatusCodes.constants.to_h do |name|
      [GRPC::Core::StatusCodes.const_get(name), name.name]
    end.freeze

    # What a status says of itself. The others mean nothing certain where no gateway made them: proxies use them, too.
    TRANSPORT_CODES = %w[UNAVAILABLE DEADLINE_EXCEEDED].freeze

    # After these, the same stream opened again would fail in the same way.
    FINAL_STATUSES = %w[
      INVALID_ARGUMENT NOT_FOUND FAILED_PRECONDITION PERMISSION_DENIED UNAUTHENTICATED UNIMPLEMENTED
    ].freeze

    class << self
      # Returns what a failed RPC means; +run+ because only a run has a run state, +late+ if its time was over.
      #
      # @param status [GRPC::BadStatus]
      # @return [Error]
      def from_status(status, run:, late: false)
        grpc_status = STATUS_NAMES.fetch(status.code, "UNKNOWN")
        found = details(status.metadata[STATUS_KEY])
        return from_details(found, grpc_status, status.details) if from_gateway?(found)

        # A server may notice first that the time is over, and then it cancels.
        grpc_status = "DEADLINE_EXCEEDED" if late && grpc_status == "CANCELLED"
        from_transport(grpc_status, status.details, run_state: run ? :unknown : nil)
      end

      # Returns the exception of a status that no gateway made.
      def from_transport(grpc_status, message, run_state:)
        if grpc_status == "CANCELLED"
          # Nobody here cancelled it: a server that is stopped answers so what it had not yet looked at.
          grpc_status = "UNAVAILABLE"
          message = "the server went away without an answer"
        end
        type = TRANSPORT_CODES.include?(grpc_status) ? Error::BY_CODE.fetch(grpc_status) : Error
        type.new(message, code: grpc_status, grpc_status:, run_state:)
      end

      # Returns what an error in the middle of a keepalive stream means.
      def from_detail(detail)
        build(code_name(detail.code, nil), detail.message, detail_fields(detail))
      end

      private

      # Each part may be missing or broken: a proxy's garbage must not hide the status itself.
      def details(bytes)
        return {} if bytes.nil?

        Google::Rpc::Status.decode(bytes).details.each_with_object({}) do |packed, found|
          type = DETAILS.find { |each| packed.is(each) }
          found[type] = packed.unpack(type) if type
        end
      rescue Google::Protobuf::ParseError
        {}
      end

      def from_gateway?(found)
        info = found[Google::Rpc::ErrorInfo]
        found.key?(V1::ErrorDetail) || (info&.domain == DOMAIN && !info.reason.empty?)
      end

      def from_details(found, grpc_status, message)
        detail, info = found.values_at(V1::ErrorDetail, Google::Rpc::ErrorInfo)
        fields = { grpc_status:, **info_fields(info), **detail_fields(detail), **standard_fields(found) }
        build(code_name(detail&.code, info&.reason), message, fields)
      end

      def build(code, message, fields)
        Error::BY_CODE.fetch(code, Error).new(message, code:, **fields)
      end

      # A code that this client does not know is a number here; the reason beside it is its name.
      def code_name(code, reason)
        return code.name.delete_prefix("ERROR_CODE_") if code.is_a?(Symbol) && code != :ERROR_CODE_UNSPECIFIED
        return reason unless reason.nil? || reason.empty?

        code.is_a?(Integer) ? "UNKNOWN_#{code}" : "UNKNOWN"
      end

      def info_fields(info)
        return {} if info.nil?

        metadata = info.metadata.to_h
        { metadata:, http_status: Integer(metadata["httpStatus"], 10, exception: false) }
      end

      def standard_fields(found)
        retry_info, request = found.values_at(Google::Rpc::RetryInfo, Google::Rpc::BadRequest)
        violations = request&.field_violations&.map { |each| Error::FieldViolation.new(each.field, each.description) }
        fields = { retry_after: Convert.seconds(retry_info&.retry_delay), field_violations: violations }
        fields.compact
      end

      def detail_fields(detail)
        return {} if detail.nil?

        fields = {
          session_id: some(detail.session_id), call_id: some(detail.call_id), error_id: some(detail.error_id),
          http_status: detail.http_status.zero? ? nil : detail.http_status,
          run_state: run_state(detail.run_state), end_reason: Convert.end_reason(detail.end_reason),
          retry_after: Convert.seconds(detail.retry_after), worker_exit: Convert.worker_exit(detail.worker_exit),
          app_failure: app_failure(detail.app_failure), session_app: pinned(detail.session_app),
          requested_app: pinned(detail.requested_app), detail:
        }
        fields.compact
      end

      def some(text)
        text.empty? ? nil : text
      end

      def run_state(value)
        value == :RUN_STATE_UNSPECIFIED ? nil : Convert.word("RUN_STATE_", value)
      end

      def app_failure(failure)
        failure && Error::AppFailure.new(failure.type, failure.message, failure.traceback)
      end

      def pinned(app)
        app && (app.version.empty? ? app.app : "#{app.app}@#{app.version}")
      end
    end
  end
end
