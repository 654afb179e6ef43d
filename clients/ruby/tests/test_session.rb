# frozen_string_literal: true

require "support/scripted_case"
require "support/keepalive_script"

class TestSession < ScriptedCase
  def setup
    super
    answer_runs("{}", session_id: "sess_1")
    ended = V1::Session.new(id: "sess_1", status: :SESSION_STATUS_ENDED, end_reason: :END_REASON_CALLER)
    @gateway.on(:end_session) { V1::EndSessionResponse.new(session: ended) }
  end

  def runs
    @gateway.requests[:run]
  end

  def ends
    @gateway.requests[:end_session].size
  end

  def app_error(**fields)
    Statuses.from_gateway(2, :ERROR_CODE_APP_ERROR, run_state: :RUN_STATE_COMPLETED, **fields)
  end

  def test_the_first_call_opens_the_session_and_leaving_the_block_ends_it
    value = @client.session("kv", session_timeout: 9) do |session|
      session.call("set", { a: 1 }, request_id: "r")
      session.call({ b: 2 })
      session.id
    end
    first = runs.pop
    second = runs.pop

    assert_equal ["sess_1", 1], [value, ends]
    assert_equal ["kv", "new", 9, "set", "r"],
                 [first.app, first.session, first.session_timeout, first.function, first.request_id]
    assert_equal ["kv@1", "sess_1", "", '{"b":2}'], [second.app, second.session, second.function, second.input_json]
    refute_predicate second, :has_session_timeout?
  end

  def test_a_handle_that_was_never_called_sends_nothing
    assert_nil @client.session("kv", &:info)
    assert_equal 0, ends
  end

  def test_the_session_ends_also_after_an_exception_which_wins_over_one_while_ending
    @gateway.on(:end_session) { raise Statuses.bare(13, "no") }
    assert_raises(ZeroDivisionError) { @client.session("kv") { |session| session.call && raise(ZeroDivisionError) } }
    assert_raises(SessionGateway::Error) { @client.session("kv", &:call) }

    assert_equal 2, ends
  end

  def test_leaving_after_the_session_is_gone_is_fine
    @gateway.on(:end_session) { raise Statuses.from_gateway(5, :ERROR_CODE_SESSION_NOT_FOUND) }

    assert_equal "sess_1", @client.session("kv") { |session| session.call.session_id }
  end

  def test_a_handle_can_be_ended_early_and_is_then_closed
    session = @client.session("kv")
    session.call

    assert_equal :ended, session.end.status
    assert_equal :ended, session.close.status
    assert_equal 1, ends
    assert_raises(SessionGateway::UsageError) { session.call }
  end

  def test_a_finished_session_is_not_replaced
    @client.session("kv") do |session|
      session.call
      @gateway.on(:run) { raise Statuses.from_gateway(9, :ERROR_CODE_SESSION_EXPIRED, session_id: "sess_1") }
      2.times { assert_raises(SessionGateway::SessionExpiredError) { session.call } }
    end
    3.times { |n| assert_equal n.zero? ? "new" : "sess_1", runs.pop.session }
  end

  def test_after_a_first_call_that_failed_the_next_one_is_the_first
    in_turn(:run, failing(app_error), ->(*) { ScriptedGateway.run_response("{}", session_id: "sess_1") })
    @client.session("kv") do |session|
      assert_raises(SessionGateway::AppError) { session.call }
      assert_nil session.id
      session.call
    end
    2.times { assert_equal "new", runs.pop.session }
  end

  def test_calls_that_come_while_the_session_opens_wait_for_it
    release = Thread::Queue.new
    in_turn(:run, ->(*) { release.pop }, ->(*) { ScriptedGateway.run_response("{}", session_id: "sess_1") })
    session = @client.session("kv")
    first = concurrently { session.call }
    assert_equal "new", runs.pop.session
    others = Array.new(3) { concurrently { session.call } }
    late = assert_raises(SessionGateway::DeadlineExceededError) { session.call(timeout: 0.05) }

    assert_equal [:not_started, 0], [late.run_state, runs.size]
    release << ScriptedGateway.run_response("{}", session_id: "sess_1")

    assert_equal ["sess_1"], [first, *others].map { |call| call.value.session_id }.uniq
    3.times { assert_equal "sess_1", runs.pop.session }
  end

  def test_a_session_that_opens_after_its_block_was_left_is_ended_at_once
    release = Thread::Queue.new
    @gateway.on(:run) { release.pop }
    session = @client.session("kv")
    call = concurrently { session.call }
    runs.pop
    session.end
    release << ScriptedGateway.run_response("{}", session_id: "sess_1")
    call.value

    assert_equal 1, ends
  end

  def test_a_stream_opens_the_session_with_its_result
    part = V1::RunStreamResponse.new(partial_json: "{}")
    last = V1::RunStreamResponse.new(result: ScriptedGateway.run_response("{}", session_id: "sess_1"))
    @gateway.on(:run_stream) { [part, last].each }
    session = @client.session("kv")
    session.stream("count") do
      assert_nil session.id
      # Waiting for its own stream, it would wait for ever.
      assert_raises(SessionGateway::UsageError) { session.call }
    end

    assert_equal "sess_1", session.id
    session.call

    assert_equal "sess_1", runs.pop.session
  end

  def test_an_input_in_the_place_of_the_function_stands_alone
    session = @client.session("kv")

    assert_raises(ArgumentError) { session.call({ a: 1 }, { b: 2 }) }
    assert_raises(ArgumentError) { session.call("f", { a: 1 }, input: { b: 2 }) }
    assert_raises(TypeError) { session.call(1) }
    assert_raises(TypeError) { session.call("f", false) }
  end

  def test_the_input_has_a_name_as_in_a_run_of_the_client
    @client.session("kv") do |session|
      session.call("set", input: { timeout: 1 }, timeout: 60)
      session.call(input: { request_id: 2 })
    end

    first = runs.pop
    second = runs.pop

    assert_equal ["set", '{"timeout":1}'], [first.function, first.input_json]
    assert_equal ["", '{"request_id":2}', ""], [second.function, second.input_json, second.request_id]
  end

  def test_a_lost_session_is_told_at_once_and_by_the_next_call
    script = KeepaliveScript.new(@gateway)
    losses = Thread::Queue.new
    session = @client.session("kv", keepalive: true, on_lost: ->(error) { losses << error })
    session.call
    detail = V1::ErrorDetail.new(
      code: :ERROR_CODE_SESSION_ENDED, session_id: "sess_1", end_reason: :END_REASON_WORKER_LOST,
      worker_exit: V1::WorkerExit.new(signal: 9)
    )
    script.streams.pop.say("sess_1", error: detail)
    loss = losses.pop
    error = assert_raises(SessionGateway::SessionEndedError) { session.call }

    assert_equal [:worker_lost, { signal: 9 }, nil], [loss.end_reason, loss.worker_exit, loss.run_state]
    assert_equal [:worker_lost, :not_started, 1], [error.end_reason, error.run_state, runs.size]
    assert_same loss, session.lost
  end

  def test_a_callback_may_close_the_client
    script = KeepaliveScript.new(@gateway)
    closed = Thread::Queue.new
    session = @client.session("kv", keepalive: true, on_lost: ->(_) { closed << @client.close })
    session.call
    script.streams.pop.say("sess_1", error: V1::ErrorDetail.new(code: :ERROR_CODE_SESSION_EXPIRED))

    assert_nil closed.pop
  end

  def test_a_callback_that_fails_harms_nobody
    script = KeepaliveScript.new(@gateway)
    session = @client.session("kv", keepalive: true, on_lost: ->(_) { raise "no" })
    session.call
    wire = script.streams.pop
    _, complaint = capture_io do
      @client.keepalive("other") do |stream|
        wire.say("sess_1", error: V1::ErrorDetail.new(code: :ERROR_CODE_SESSION_EXPIRED))
        wire.say("other", session: ScriptedGateway.session("other"))

        assert_equal "other", stream.next_event.session_id
      end
    end

    assert_includes complaint, "sess_1"
  end

  def test_the_end_of_a_handle_ends_its_renewals
    script = KeepaliveScript.new(@gateway)
    @client.session("kv", keepalive: true) do |session|
      session.call
      assert_equal ["sess_1"], script.streams.pop.asked.pop
    end
    wait_until { Thread.list.none? { |thread| thread.name == "sessiongateway-keepalive" } }
  end
end
