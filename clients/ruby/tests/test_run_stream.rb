# frozen_string_literal: true

require "support/scripted_case"

class TestRunStream < ScriptedCase
  def part(output)
    V1::RunStreamResponse.new(partial_json: output.b)
  end

  def last(output = "{}", **fields)
    V1::RunStreamResponse.new(result: ScriptedGateway.run_response(output, **fields))
  end

  def answer_streams(*parts)
    @gateway.on(:run_stream) { parts.each }
  end

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

  def test_leaving_early_cancels_the_run
    [->(stream) { stream.first(1) }, ->(stream) { stream.find { true } }].each do |leave|
      cancelled = Thread::Queue.new
      @gateway.on(:run_stream) { |_, call| endless(call, cancelled) }
      stream = @client.run_stream("kv")
      leave.call(stream)

      assert cancelled.pop
      assert_empty stream.to_a
    end
  end

  def test_a_slow_reader_slows_the_function
    sent = 0
    cancelled = Thread::Queue.new
    @gateway.on(:run_stream) { |_, call| endless(call, cancelled, "x" * 100_000) { sent += 1 } }
    stream = @client.run_stream("kv")
    steps = stream.each
    steps.next
    # It stands still once the windows of the connection are full.
    before = nil
    wait_until { before == (before = sent.tap { sleep 0.1 }) }

    assert_operator sent, :<, 500
    stream.close

    assert cancelled.pop
  end

  def test_one_thread_can_close_what_another_reads
    queue = Thread::Queue.new << part("{}")
    @gateway.on(:run_stream) { messages(queue) }
    stream = @client.run_stream("kv")
    begun = Thread::Queue.new
    reader = concurrently { stream.each { begun << true } }
    begun.pop
    stream.close
    error = assert_raises(SessionGateway::CancelledError) { reader.value }

    assert_equal :unknown, error.run_state
  ensure
    queue.close
  end

  def test_a_closed_stream_gives_nothing_more
    answer_streams(part("{}"), part("{}"), last)
    stream = @client.run_stream("kv")
    steps = stream.each
    steps.next
    stream.close

    assert_raises(StopIteration) { steps.next }
    assert_predicate stream, :closed?
  end

  def test_two_readers_at_once_are_refused
    answer_streams(part("{}"), last)
    stream = @client.run_stream("kv")
    stream.each do
      assert_raises(SessionGateway::UsageError) { stream.to_a }
    end
  end

  def test_a_stream_that_is_never_answered_ends_at_its_deadline_or_when_it_is_closed
    release = Thread::Queue.new
    @gateway.on(:run_stream) { release.pop }
    assert_raises(SessionGateway::DeadlineExceededError) { @client.run_stream("kv", timeout: 0.2).finish }
    @gateway.requests[:run_stream].clear
    stream = @client.run_stream("kv")
    reader = concurrently { stream.finish }
    @gateway.requests[:run_stream].pop
    stream.close

    assert_raises(SessionGateway::CancelledError) { reader.value }
  ensure
    2.times { release << [] }
  end

  def test_the_deadline_is_that_of_the_whole_stream
    queue = Thread::Queue.new << part("{}")
    @gateway.on(:run_stream) { messages(queue) }
    error = assert_raises(SessionGateway::DeadlineExceededError) { @client.run_stream("kv", timeout: 0.3).finish }

    assert_equal :unknown, error.run_state
  ensure
    queue.close
  end

  private

  # Sends for as long as somebody reads.
  def endless(call, cancelled, padding = "")
    Enumerator.new do |out|
      until call.cancelled?
        yield if block_given?
        out << part(%({"padding":"#{padding}"}))
      end
    ensure
      cancelled << true
    end
  end
end
