# frozen_string_literal: true

require "support/scripted_case"

# What ends, or is left, while something else is under way in a session.
class TestSessionEnds < ScriptedCase
  # Stands for the renewals: `on_add` is called in the middle of adding.
  class FakeRenewer
    attr_reader :sink, :discarded

    def initialize(&on_add)
      @on_add = on_add
      @discarded = []
    end

    def add(_session_ids, _timeout, sink)
      @sink = sink
      @discarded.clear
      @on_add&.call
    end

    def discard(session_ids, _sink)
      @discarded.concat(session_ids)
    end
  end

  def setup
    super
    answer_runs("{}", session_id: "sess_1")
    part = V1::RunStreamResponse.new(partial_json: "{}")
    last = V1::RunStreamResponse.new(result: ScriptedGateway.run_response("{}", session_id: "sess_1"))
    @gateway.on(:run_stream) { [part, last].each }
    ended = V1::Session.new(id: "sess_1", status: :SESSION_STATUS_ENDED, end_reason: :END_REASON_CALLER)
    @gateway.on(:end_session) { V1::EndSessionResponse.new(session: ended) }
  end

  def runs
    @gateway.requests[:run]
  end

  def test_a_stream_that_is_read_step_by_step_and_closed_makes_room_for_the_next_call
    session = @client.session("kv")
    stream = session.stream("count")
    steps = stream.each
    steps.next
    other = concurrently { session.call }
    assert_raises(SessionGateway::UsageError) { session.call }
    stream.close

    assert_equal %w[sess_1 sess_1], [session.call, other.value].map(&:session_id)
    assert_equal "new", runs.pop.session
    assert_equal "sess_1", runs.pop.session
    assert_raises(StopIteration) { steps.next }
  end

  def test_a_stream_that_is_cancelled_between_two_steps_makes_room_for_the_next_call
    cancellation = SessionGateway::Cancellation.new
    session = @client.session("kv")
    steps = session.stream("count", cancellation:).each
    steps.next
    cancellation.cancel

    assert_equal "sess_1", session.call.session_id
    assert_raises(SessionGateway::CancelledError) { steps.next }
  end

  def test_ending_the_handle_closes_a_stream_that_has_not_opened_the_session
    part = V1::RunStreamResponse.new(partial_json: "{}")
    queue = Thread::Queue.new << part
    @gateway.on(:run_stream) { messages(queue) }
    session = @client.session("kv")
    begun = Thread::Queue.new
    reader = concurrently { session.stream { begun << true } }
    begun.pop

    assert_nil session.end
    assert_raises(SessionGateway::CancelledError) { reader.value }
  ensure
    queue.close
  end

  def test_ending_the_handle_ends_the_wait_for_a_stream_between_two_steps
    session = @client.session("kv")
    steps = session.stream("count").each
    steps.next
    call = concurrently { session.call }
    wait_until { call.stop? }

    assert_nil session.end
    assert_raises(SessionGateway::UsageError) { call.value }
    assert_raises(SessionGateway::UsageError) { session.call }
    assert_empty runs
  end

  def test_ending_the_handle_ends_the_wait_for_a_call_that_opens_the_session
    release = Thread::Queue.new
    @gateway.on(:run) { release.pop }
    session = @client.session("kv")
    first = concurrently { session.call }
    runs.pop
    second = concurrently { session.call }
    wait_until { second.stop? }
    session.end

    assert_raises(SessionGateway::UsageError) { second.value }
    release << ScriptedGateway.run_response("{}", session_id: "sess_1")
    first.value

    assert_equal 1, @gateway.requests[:end_session].size
  end

  def test_what_the_block_raises_wins_over_a_client_that_was_closed_meanwhile
    assert_raises(ZeroDivisionError) do
      @client.session("kv") do |session|
        session.call
        Thread.new { @client.close }.join
        raise ZeroDivisionError
      end
    end
  end

  def test_a_handle_that_is_ended_while_it_begins_to_be_renewed_is_not_renewed
    session = nil
    renewer = FakeRenewer.new { Thread.new { session.end }.join }
    session = handle(renewer)
    session.call

    assert_equal %w[sess_1 sess_1], renewer.discarded
  end

  def test_the_call_that_opens_the_session_has_its_result_though_the_client_was_closed_meanwhile
    session = handle(FakeRenewer.new { raise SessionGateway::UsageError, "the client is closed" })

    assert_equal "sess_1", session.call.session_id
  end

  def test_the_call_that_opens_the_session_has_its_result_though_its_handle_was_closed_and_cannot_end_it
    @gateway.on(:end_session) { raise Statuses.bare(13, "no") }
    release = Thread::Queue.new
    @gateway.on(:run) { release.pop }
    session = @client.session("kv")
    call = concurrently { session.call }
    runs.pop
    session.end
    release << ScriptedGateway.run_response("{}", session_id: "sess_1")

    assert_equal "sess_1", call.value.session_id
  end

  def test_news_that_comes_after_the_end_is_nobodys
    renewer = FakeRenewer.new
    losses = []
    session = handle(renewer, on_lost: ->(error) { losses << error })
    session.call
    session.end
    stale = SessionGateway::Convert.session_info(ScriptedGateway.session("sess_1"))
    error = SessionGateway::SessionEndedError.new
    renewer.sink.call(SessionGateway::KeepaliveEvent.new(session_id: "sess_1", session: stale, error: nil))
    renewer.sink.call(SessionGateway::KeepaliveEvent.new(session_id: "sess_1", session: nil, error:))

    assert_equal [:ended, nil, []], [session.info.status, session.lost, losses]
  end

  private

  def handle(renewer, on_lost: nil)
    transport = @client.instance_variable_get(:@transport)
    SessionGateway::Session.new(
      "kv", runner: SessionGateway::Runner.new(transport, nil), sessions: @client.sessions, renewer:,
            session_timeout: nil, timeout: nil, on_lost:
    )
  end
end
