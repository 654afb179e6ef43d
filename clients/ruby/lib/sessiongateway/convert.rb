# frozen_string_literal: true

require "google/protobuf/well_known_types"
require "sessiongateway/json_text"
require "sessiongateway/types"
require "sessiongateway/v1/apps_pb"
require "sessiongateway/v1/sessions_pb"

module SessionGateway
  # Between what callers write and read and the messages of the protocol.
  #
  # @api private
  module Convert
    TEXTS = %i[function session worker_id request_id].freeze
    INTEGERS = {
      session_timeout: -(2**31)...(2**31), expected_call_count: -(2**63)...(2**63), page_size: -(2**31)...(2**31)
    }.freeze

    class << self
      # Builds the request of a run. What is nil is left out; an input that is left out is sent as an empty object,
      # since the answer comes in the form of the request and only JSON text keeps integers exact.
      #
      # @raise [TypeError, ArgumentError] a field has the wrong type, or the input cannot be JSON
      def run_request(app:, input: nil, **fields)
        request = V1::RunRequest.new(app: text(:app, app), input_json: JSONText.encode(input.nil? ? {} : input).b)
        fields.each do |name, value|
          request[name.to_s] = TEXTS.include?(name) ? text(name, value) : integer(name, value) unless value.nil?
        end
        request
      end

      # Returns text that is sure to be UTF-8: what a message refuses, it refuses without saying which field it was.
      def text(name, value)
        refuse(name, value, "a String") unless value.is_a?(String) || value.is_a?(Symbol)

        text = value.to_s.encode(Encoding::UTF_8)
        text.valid_encoding? ? text : raise(ArgumentError, "#{name} holds text that is not Unicode")
      rescue EncodingError
        raise ArgumentError, "#{name} holds text that is not Unicode", cause: nil
      end

      # @raise [TypeError, ArgumentError] it is no Integer, or cannot be sent
      def integer(name, value)
        refuse(name, value, "an Integer") unless value.is_a?(Integer)
        return value if INTEGERS.fetch(name).cover?(value)

        raise ArgumentError, "#{name} is too large: #{value}"
      end

      # Returns seconds that a request may take; nil is as long as it takes.
      #
      # @raise [TypeError, ArgumentError] they are no number, or no end
      def timeout(value)
        refuse(:timeout, value, "a number of seconds") unless value.nil? || value.is_a?(Numeric)
        return value if value.nil? || value.to_f.finite?

        raise ArgumentError, "timeout must be finite, or nil for no limit, not #{value}"
      end

      # @raise [ArgumentError] the output is not JSON
      def run_result(response)
        RunResult.new(
          session_id: response.session_id,
          output: payload(response, response.result),
          call_id: response.call_id,
          session: response.session && session_info(response.session)
        ).freeze
      end

      # @raise [ArgumentError] it is not JSON
      def partial_output(response)
        payload(response, response.part)
      end

      def session_info(session)
        SessionInfo.new(
          **plain_fields(session),
          status: word("SESSION_STATUS_", session.status),
          end_reason: end_reason(session.end_reason),
          created_at: moment(session.created_at), expires_at: moment(session.expires_at),
          expires_in: seconds(session.expires_in) || 0.0,
          last_call_at: moment(session.last_call_at), ended_at: moment(session.ended_at),
          worker_exit: worker_exit(session.worker_exit)
        ).freeze
      end

      def watch_event(response)
        WatchEvent.new(
          event: word("SESSION_EVENT_", response.event),
          session: response.session && session_info(response.session),
          occurred_at: moment(response.occurred_at),
          resume_token: response.resume_token
        ).freeze
      end

      # @raise [ArgumentError] a schema is not JSON
      def app_info(app)
        AppInfo.new(
          name: app.name, version: app.version, current_version: app.current_version, versions: app.versions.to_a,
          default_function: app.default_function, functions: app.functions.map { |each| function_info(each) },
          concurrency: app.concurrency, idle_worker_ids: app.idle_worker_ids.to_a
        ).freeze
      end

      # Returns the number of a status such as :active.
      #
      # @raise [ArgumentError] there is no such status
      def session_status(name)
        found = V1::SessionStatus.resolve(:"SESSION_STATUS_#{name.to_s.upcase}")
        return found if found&.positive?

        raise ArgumentError, "#{name.inspect} is not a session status; those are :active, :ended and :expired"
      end

      def end_reason(value)
        value == :END_REASON_UNSPECIFIED ? nil : word("END_REASON_", value)
      end

      # Returns {exit_code: n} or {signal: n}; {} if neither is known; nil if there is no message.
      def worker_exit(message)
        return if message.nil?

        message.how ? { message.how => message[message.how.to_s] } : {}
      end

      # Returns the lower-case name of an enum's value; of one that only a newer gateway knows there is a number.
      def word(prefix, value)
        value.is_a?(Integer) ? :"unknown_#{value}" : value.name.delete_prefix(prefix).downcase.to_sym
      end

      def seconds(duration)
        duration && (duration.seconds + (duration.nanos / 1e9))
      end

      private

      def refuse(name, value, wanted)
        raise TypeError, "#{name} must be #{wanted}, not #{value.class}"
      end

      def plain_fields(session)
        {
          id: session.id, app: session.app, version: session.version, worker_id: session.worker_id,
          session_timeout: session.session_timeout, call_count: session.call_count
        }
      end

      def function_info(function)
        FunctionInfo.new(
          name: function.name, description: function.description, streams: function.streams,
          input_schema: schema(function.input_schema), output_schema: schema(function.output_schema),
          partial_schema: schema(function.partial_schema)
        ).freeze
      end

      def schema(text)
        text.empty? ? {} : JSONText.decode(text)
      end

      def payload(message, form)
        return {} if form.nil?

        value = message[form.to_s]
        value.is_a?(String) ? JSONText.decode(value) : value.to_h
      end

      def moment(timestamp)
        timestamp && Time.at(timestamp.seconds, timestamp.nanos, :nanosecond).utc
      end
    end
  end
end
