# frozen_string_literal: true

require "support/scripted_case"
require "support/stream_answers"

# Streams that are left, closed or cancelled, or whose time is over.
class TestRunStreamEnds < ScriptedCase
  include StreamAnswers

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

  def test_a_closed_stream_leaves_nothing_behind_though_its_steps_are_not_read_on
    answer_streams(part("{}"), last)
    cancellation = SessionGateway::Cancellation.new
    stream = @client.run_stream("kv", cancellation:)
    stream.each.next
    stream.close

    assert_empty cancellation.instance_variable_get(:@hooks)
    assert_empty @client.instance_variable_get(:@transport).instance_variable_get(:@calls)
    assert_empty stream.to_a
  end

  def test_a_reader_that_was_cancelled_with_an_output_in_its_hands_is_told_by_the_next_step
    answer_streams(part("{}"), part("{}"), last)
    cancellation = SessionGateway::Cancellation.new
    steps = @client.run_stream("kv", cancellation:).each
    steps.next
    cancellation.cancel
    error = assert_raises(SessionGateway::CancelledError) { steps.next }

    assert_equal :unknown, error.run_state
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
end
