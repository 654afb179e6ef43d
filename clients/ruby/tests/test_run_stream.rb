# frozen_string_literal: true

require "support/scripted_case"
require "support/stream_answers"

class TestRunStream < ScriptedCase
  include StreamAnswers

  def sent
    @gateway.requests[:run_stream].size
  end

  def test_outputs_come_in_order_and_the_result_at_the_end
    answer_streams(part('{"n":1}'), part('{"n":9007199254740993}'), last('{"total":2}', session_id: "s"))
    stream = @client.run_stream("kv")

    assert_equal([1, (2**53) + 1], stream.map { |output| output["n"] })
    assert_equal [{ "total" => 2 }, "s"], [stream.result.output, stream.result.session_id]
    assert_empty stream.to_a
  end

  def test_a_block_gets_the_outputs_and_the_result_is_returned
    answer_streams(part('{"n":1}'), last('{"total":1}'))
    outputs = []
    result = @client.run_stream("kv") { |output| outputs << output }

    assert_equal [[{ "n" => 1 }], { "total" => 1 }], [outputs, result.output]
  end

  def test_outputs_can_be_taken_step_by_step
    answer_streams(part('{"n":1}'), part('{"n":2}'), last)
    stream = @client.run_stream("kv")
    steps = stream.each

    assert_equal [{ "n" => 1 }, { "n" => 2 }], [steps.next, steps.next]
    assert_raises(StopIteration) { steps.next }
    assert_empty stream.result.output
  end

  def test_the_rest_can_be_passed_over_for_the_result
    answer_streams(part("{}"), last('{"total":1}'))

    assert_equal({ "total" => 1 }, @client.run_stream("kv").finish.output)
  end

  def test_parts_of_a_newer_gateway_are_passed_over_and_the_other_form_is_read
    other = V1::RunStreamResponse.new(partial: Google::Protobuf::Struct.from_hash({ "a" => 1.0 }))
    answer_streams(V1::RunStreamResponse.new, other, last)

    assert_equal [{ "a" => 1.0 }], @client.run_stream("kv").to_a
  end

  def test_nothing_is_sent_before_it_is_read
    @client.run_stream("kv").close

    assert_equal 0, sent
  end

  def test_an_error_after_some_outputs_is_raised_by_the_step_that_meets_it
    failure = Statuses.from_gateway(2, :ERROR_CODE_APP_ERROR, run_state: :RUN_STATE_COMPLETED)
    @gateway.on(:run_stream) { Enumerator.new { |out| out << part('{"n":1}') and raise failure } }
    stream = @client.run_stream("kv")
    outputs = []
    error = assert_raises(SessionGateway::AppError) { stream.each { |output| outputs << output } }

    assert_equal [1, :completed], [outputs.size, error.run_state]
    assert_raises(SessionGateway::UsageError) { stream.result }
  end

  def test_a_stream_that_ends_without_a_result_has_failed
    answer_streams(part("{}"))
    error = assert_raises(SessionGateway::Error) { @client.run_stream("kv").finish }

    assert_equal ["INVALID_RESPONSE", :unknown], [error.code, error.run_state]
  end

  def test_a_result_counts_whatever_status_follows
    @gateway.on(:run_stream) { Enumerator.new { |out| out << last('{"a":1}') and raise Statuses.bare(14, "late") } }

    assert_equal({ "a" => 1 }, @client.run_stream("kv").finish.output)
  end

  def test_a_result_is_not_held_back_by_a_gateway_that_keeps_the_stream_open
    queue = Thread::Queue.new << last('{"a":1}')
    @gateway.on(:run_stream) { messages(queue) }

    assert_equal({ "a" => 1 }, @client.run_stream("kv").finish.output)
  ensure
    queue.close
  end

  def test_a_stream_is_sent_again_while_the_gateway_drains
    in_turn(:run_stream, failing(Statuses.draining), ->(*) { [part("{}"), last].each })

    assert_equal 1, @client.run_stream("kv").to_a.size
    assert_equal 2, sent
  end

  def test_a_stream_that_has_begun_is_not_sent_again
    @gateway.on(:run_stream) { Enumerator.new { |out| out << part("{}") and raise Statuses.draining } }
    assert_raises(SessionGateway::GatewayDrainingError) { @client.run_stream("kv").finish }

    assert_equal 1, sent
  end

  def test_the_readers_own_errors_are_its_own
    answer_streams(part("{}"), last)
    assert_raises(GRPC::Unavailable) { @client.run_stream("kv") { raise GRPC::Unavailable } }
    assert_raises(SessionGateway::GatewayDrainingError) do
      @client.run_stream("kv") { raise SessionGateway::GatewayDrainingError }
    end
    assert_equal 2, sent
  end

  def test_a_reader_that_stops_its_iteration_ends_the_run
    cancelled = Thread::Queue.new
    @gateway.on(:run_stream) { |_, call| endless(call, cancelled) }

    assert_raises(StopIteration) { @client.run_stream("kv") { raise StopIteration } }
    assert cancelled.pop
  end

  def test_a_slow_reader_slows_the_function
    sent = 0
    cancelled = Thread::Queue.new
    @gateway.on(:run_stream) { |_, call| endless(call, cancelled, "x" * 100_000) { sent += 1 } }
    stream = @client.run_stream("kv")
    steps = stream.each
    steps.next
    # It stands still once the windows of the connection are full, whatever else goes to and fro meanwhile.
    answer_runs
    before = nil
    wait_until { before == (before = sent.tap { 50.times { @client.run("kv") } }) }

    assert_operator sent, :<, 500
    stream.close

    assert cancelled.pop
  end

  def test_two_readers_at_once_are_refused
    answer_streams(part("{}"), last)
    stream = @client.run_stream("kv")
    stream.each do
      assert_raises(SessionGateway::UsageError) { stream.to_a }
    end
  end
end
