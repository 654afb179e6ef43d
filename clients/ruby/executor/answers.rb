# frozen_string_literal: true

require "time"

# What the executor writes: results, sessions and errors of the client as the protocol has them.
module Answers
  USAGE = [ArgumentError, TypeError, SessionGateway::UsageError, SystemStackError].freeze
  SAME = %i[id app version worker_id session_timeout expires_in call_count worker_exit].freeze
  WORDS = %i[status end_reason].freeze
  TIMES = %i[created_at expires_at last_call_at ended_at].freeze
  PLAIN = %i[
    code message grpc_status session_id run_state retry_after http_status end_reason call_id worker_exit session_app
    requested_app error_id metadata
  ].freeze

  class << self
    def json(value)
      JSON.generate(value, max_nesting: 0)
    end

    def result(result)
      {
        session_id: result.session_id, output: json(result.output), call_id: result.call_id,
        session: session(result.session)
      }
    end

    def session(info)
      return if info.nil?

      fields = SAME.to_h { |name| [name, info[name]] }
      fields.merge(WORDS.to_h { |name| [name, info[name]&.to_s] }, TIMES.to_h { |name| [name, info[name]&.iso8601(6)] })
    end

    def keepalive(event)
      return { session_id: event.session_id, session: session(event.session) } if event.error.nil?

      { session_id: event.session_id, error: error(event.error) }
    end

    def app(info)
      functions = info.functions.map { |each| { name: each.name, streams: each.streams } }
      { name: info.name, version: info.version, functions: }
    end

    def error(error)
      case error
      when SessionGateway::Error then gateway_error(error)
      when RawRun::Failure then error.fields
      when *USAGE then { code: "USAGE", message: error.message, class: error.class.name }
      else { code: "EXECUTOR_FAILED", message: error.full_message(highlight: false), class: error.class.name }
      end
    end

    private

    def gateway_error(error)
      PLAIN.to_h { |name| [name, error.public_send(name)] }.merge(
        class: error.class.name.split("::").last,
        field_violations: error.field_violations.map(&:to_a),
        app_failure: error.app_failure&.to_h
      )
    end
  end
end
