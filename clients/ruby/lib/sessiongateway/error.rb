# frozen_string_literal: true

module SessionGateway
  # The client was used in a way that cannot work, such as a call on a handle that is closed. Nothing was sent.
  # (A wrong argument is an ArgumentError or a TypeError.)
  class UsageError < RuntimeError; end

  # A request failed. Its subclasses, one for each code, are in errors.rb; of a code or a status that this client does
  # not know it is this class itself, with the gateway's name for it in +code+.
  #
  # Anything that is not known, or does not apply, is nil.
  class Error < StandardError
    CODE = "UNKNOWN"

    # @return [String] why, such as "SESSION_EXPIRED"; of a status that no gateway made, its gRPC name
    attr_reader :code
    # @return [String, nil] the session in question
    attr_reader :session_id
    # @return [Symbol, nil] whether the function of a run was applied: :not_started (it is safe to send again), :unknown
    #   or :completed; nil for other requests
    attr_reader :run_state
    # @return [Float, nil] seconds to wait before sending again, where that may help
    attr_reader :retry_after
    # @return [Integer, nil] the HTTP status that goes with the code
    attr_reader :http_status
    # @return [String, nil] the name of the gRPC status; nil for an error in the middle of a keepalive stream
    attr_reader :grpc_status
    # @return [Symbol, nil] why the session is no longer active: :caller, :idle_timeout, :worker_lost, ...
    attr_reader :end_reason
    # @return [String, nil] the call that failed, as it stands in the gateway's log
    attr_reader :call_id
    # @return [Array<FieldViolation>] what is wrong with each wrong field
    attr_reader :field_violations
    # @return [AppFailure, nil] what the app's code raised
    attr_reader :app_failure
    # @return [Hash, nil] how the worker died: {exit_code: n}, {signal: n}, or {} if nobody saw it
    attr_reader :worker_exit
    # @return [String, nil] the app and version that the session is bound to, as "app@version"
    attr_reader :session_app
    # @return [String, nil] the app and version that the request meant, as "app@version"
    attr_reader :requested_app
    # @return [String, nil] finds the entry of an INTERNAL error in the gateway's log
    attr_reader :error_id
    # @return [Hash{String => String}] every variable word of the message by its key
    attr_reader :metadata
    # @return [V1::ErrorDetail, nil] the message that all of this is from
    attr_reader :detail

    # What a caller wrote in one field that the gateway refuses.
    FieldViolation = Struct.new(:field, :description)

    # The exception of an app: its +type+, its text and the end of its traceback.
    AppFailure = Struct.new(:type, :message, :traceback)

    # @api private
    def initialize(
      message = nil, code: self.class::CODE, session_id: nil, run_state: nil, retry_after: nil, http_status: nil,
      grpc_status: nil, end_reason: nil, call_id: nil, field_violations: [], app_failure: nil, worker_exit: nil,
      session_app: nil, requested_app: nil, error_id: nil, metadata: {}, detail: nil
    )
      super(message || code)
      @code = code
      @session_id = session_id
      @run_state = run_state
      @retry_after = retry_after
      @http_status = http_status
      @grpc_status = grpc_status
      @end_reason = end_reason
      @call_id = call_id
      @field_violations = field_violations
      @app_failure = app_failure
      @worker_exit = worker_exit
      @session_app = session_app
      @requested_app = requested_app
      @error_id = error_id
      @metadata = metadata
      @detail = detail
    end

    # Returns a copy with another run state: what a finished session means for a call that is not even sent.
    #
    # @api private
    def with_run_state(run_state)
      dup.tap { |copy| copy.instance_variable_set(:@run_state, run_state) }
    end

    # @return [String] the code and the message
    def inspect
      "#<#{self.class.name} #{code}: #{message}>"
    end
  end
end
