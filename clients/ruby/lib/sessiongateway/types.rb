# frozen_string_literal: true

module SessionGateway
  # A session as it was when the gateway answered. All times are UTC, by the gateway's clock.
  #
  # - +id+, +app+, +version+, +worker_id+: String
  # - +status+: :active, :ended or :expired; :unknown_N of a status that only a newer gateway knows
  # - +end_reason+: why it is no longer active (:caller, :idle_timeout, :worker_lost, ...); nil while it is
  # - +session_timeout+: the idle timeout in whole seconds
  # - +created_at+, +expires_at+, +last_call_at+, +ended_at+: Time or nil
  # - +expires_in+: Float, the seconds that were left; needs no comparison of clocks
  # - +call_count+: Integer
  # - +worker_exit+: how the worker died, {exit_code: n}, {signal: n} or {} if nobody saw it; nil if it did not
  SessionInfo = Struct.new(
    :id, :app, :version, :status, :end_reason, :worker_id, :session_timeout, :created_at, :expires_at, :expires_in,
    :last_call_at, :ended_at, :call_count, :worker_exit, keyword_init: true
  ) do
    # @return [Boolean] whether the session can be called
    def active?
      status == :active
    end
  end

  # The answer of one run.
  #
  # - +session_id+: String, empty for a run without a session
  # - +output+: what the function returned, a Hash with String keys; integers are exact
  # - +call_id+: String, names the call in the gateway's log
  # - +session+: SessionInfo after the call; nil for a run without one
  RunResult = Struct.new(:session_id, :output, :call_id, :session, keyword_init: true)

  # A function of an app: +name+, +description+, the JSON Schemas +input_schema+, +output_schema+ and +partial_schema+
  # as Hashes, and whether it +streams+ partial outputs.
  FunctionInfo = Struct.new(
    :name, :description, :input_schema, :output_schema, :streams, :partial_schema, keyword_init: true
  )

  # An app in one version.
  #
  # - +name+, +version+: String
  # - +current_version+: the version that the name alone means; +versions+: all, the newest first
  # - +default_function+: String, empty if there is none
  # - +functions+: Array of FunctionInfo, and +idle_worker_ids+, those that a run may name: filled in by +apps.get+ only
  # - +concurrency+: how many calls of one session run at a time
  AppInfo = Struct.new(
    :name, :version, :current_version, :versions, :default_function, :functions, :concurrency, :idle_worker_ids,
    keyword_init: true
  )

  # One thing that happened to a session.
  #
  # - +event+: :created, :ended, :expired or :worker_lost; :unknown_N of one that only a newer gateway knows
  # - +session+: SessionInfo, as it was right after it
  # - +occurred_at+: Time
  # - +resume_token+: String, continues a watch behind this event
  WatchEvent = Struct.new(:event, :session, :occurred_at, :resume_token, keyword_init: true)

  # News of one session: it was renewed (+session+ is set), or it is lost (+error+ is set).
  KeepaliveEvent = Struct.new(:session_id, :session, :error, keyword_init: true)
end
