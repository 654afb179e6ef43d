# frozen_string_literal: true

require "support/scripted_case"

class TestWatch < ScriptedCase
  def setup
    super
    @calls = Thread::Queue.new
    @gateway.on(:watch_sessions) do |_, _|
      queue = Thread::Queue.new
      @calls << queue
      Enumerator.new do |out|
        while (message = queue.pop)
          raise message if message.is_a?(Exception)

          out << message
        end
      end
    end
  end

  def teardown
    @calls.pop.close until @calls.empty?
    super
  end

  def watching(token)
    V1::WatchSessionsResponse.new(event: :SESSION_EVENT_WATCHING, resume_token: token)
  end

  def event(token, event: :SESSION_EVENT_CREATED)
    V1::WatchSessionsResponse.new(
      event:, resume_token: token, session: ScriptedGateway.session("of #{token}"),
      occurred_at: Google::Protobuf::Timestamp.new(seconds: 1)
    )
  end

  # Returns a watch that stands, and the queue of what the gateway says on it.
  def standing(client = @client, **options)
    opening = concurrently { client.sessions.watch(**options) }
    wire = @calls.pop
    wire << watching("t0")
    [opening.value, wire]
  end

  def gone
    Statuses.bare(14, "gone")
  end

  def asked
    request = @gateway.requests[:watch_sessions].pop
    [request.resume_token, request.app]
  end

  def test_it_waits_until_the_watch_stands_and_then_there_is_a_token
    watch, = standing(app: "kv")

    assert_equal ["t0", ["", "kv"]], [watch.resume_token, asked]
  end

  def test_events_come_with_their_session_time_and_token
    watch, wire = standing(resume_token: "saved")
    wire << event("t1") << event("t2", event: 77)
    first, second = watch.first(2)

    assert_equal [:created, "of t1", Time.at(1), "t1"],
                 [first.event, first.session.id, first.occurred_at, first.resume_token]
    assert_equal :unknown_77, second.event
    assert_equal "saved", asked.first
  end

  def test_the_token_is_that_of_the_last_event_that_was_read
    watch, wire = standing
    wire << event("t1") << watching("t2") << event("t3") << watching("t4")
    tokens = Array.new(2) { [watch.next_event.resume_token, watch.resume_token] }

    # The reader's thread may have read the token behind an event, or not yet.
    assert_equal %w[t1 t3], tokens.map(&:first)
    assert_includes %w[t1 t2], tokens[0].last
    wait_until { watch.resume_token == "t4" }
  end

  def test_a_watch_that_breaks_goes_on_behind_the_last_event
    watch, wire = standing
    asked
    wire << event("t1")

    assert_equal "t1", watch.next_event.resume_token
    [gone, Statuses.draining, nil].each_with_index do |failure, round|
      failure ? wire << failure : wire.close
      wire = @calls.pop
      assert_equal "t#{round + 1}", asked.first
      wire << watching("t#{round + 1}") << event("t#{round + 2}")
      assert_equal "t#{round + 2}", watch.next_event.resume_token
    end
  end

  def test_an_event_that_waits_for_its_reader_is_not_told_again_after_a_break
    watch, wire = standing
    asked
    wire << event("t1") << gone
    wire = @calls.pop

    assert_equal "t1", asked.first
    wire << event("t2")

    assert_equal(%w[t1 t2], watch.first(2).map(&:resume_token))
  end

  def test_a_gateway_that_falls_silent_is_left_and_asked_anew
    # A clock that stands still, so that no connection takes too long for it.
    now = 0.0
    at_once = SessionGateway::Backoff.new(initial: 0.0, maximum: 0.0, multiplier: 1)
    client = SessionGateway::Client.new(
      address: @gateway.address, api_key: "",
      pacing: quick_pacing(clock: -> { now }, reconnect: at_once, watch_timeout: 0.05)
    )
    watch, = standing(client)
    reader = concurrently { watch.next_event }
    now = 1.0
    @calls.pop << event("t1")

    assert_equal "t1", reader.value.resume_token
  ensure
    client.close
  end

  def test_before_it_stands_a_gateway_that_cannot_be_reached_is_an_error
    SessionGateway::Client.open(address: "127.0.0.1:1", api_key: "") do |client|
      assert_raises(SessionGateway::UnavailableError) { client.sessions.watch }
    end
  end

  def test_before_it_stands_a_gateway_that_stops_is_asked_a_few_times
    @gateway.on(:watch_sessions) { raise Statuses.draining }
    assert_raises(SessionGateway::GatewayDrainingError) { @client.sessions.watch }

    assert_equal 4, @gateway.requests[:watch_sessions].size
  end

  def test_a_watch_that_does_not_stand_in_time_is_an_error
    assert_raises(SessionGateway::DeadlineExceededError) { @client.sessions.watch(timeout: 0.05) }
  end

  def test_a_token_that_is_refused_is_an_error_of_a_step_and_the_next_one_tries_again
    watch, wire = standing
    refusal = Statuses.from_gateway(3, :ERROR_CODE_INVALID_REQUEST)
    wire << refusal

    assert_raises(SessionGateway::InvalidRequestError) { watch.next_event }
    reader = concurrently { watch.next_event }
    @calls.pop << event("t1")

    assert_equal "t1", reader.value.resume_token
  end

  def test_nothing_in_time_is_nil_and_loses_no_event
    watch, wire = standing

    assert_nil watch.next_event(timeout: 0.01)
    wire << event("t1")

    assert_equal "t1", watch.next_event(timeout: 30).resume_token
  end

  def test_a_wait_can_be_cancelled_and_loses_no_event
    watch, wire = standing
    cancellation = SessionGateway::Cancellation.new
    reader = concurrently { watch.next_event(cancellation:) }
    wait_until { reader.stop? }
    cancellation.cancel

    assert_raises(SessionGateway::CancelledError) { reader.value }
    wire << event("t1")

    assert_raises(SessionGateway::CancelledError) { watch.next_event(cancellation:) }
    assert_equal "t1", watch.next_event.resume_token
  end

  def test_the_wait_for_a_watch_to_stand_can_be_cancelled
    cancellation = SessionGateway::Cancellation.new
    opening = concurrently { @client.sessions.watch(cancellation:) }
    wire = @calls.pop
    cancellation.cancel

    assert_raises(SessionGateway::CancelledError) { opening.value }
  ensure
    wire.close
  end

  def test_what_was_not_read_is_dropped_by_closing
    watch, wire = standing
    wire << event("t1") << event("t2")

    assert_equal "t1", watch.next_event.resume_token
    wait_until { watch.instance_variable_get(:@event) }
    watch.close

    assert_nil watch.next_event
    assert_equal "t1", watch.resume_token
  end

  def test_closing_ends_a_reader_that_waits_and_may_be_repeated
    watch, = standing
    reader = concurrently { watch.to_a }
    2.times { watch.close }

    assert_empty reader.value
    assert_nil watch.next_event
  end

  def test_closing_the_client_closes_its_watches
    watch, = standing
    @client.close

    assert_predicate watch, :closed?
  end

  def test_with_a_block_the_watch_is_closed_in_the_end
    watch = nil
    opening = concurrently { @client.sessions.watch { |each| watch = each and 42 } }
    @calls.pop << watching("t0")

    assert_equal 42, opening.value
    assert_predicate watch, :closed?
  end
end
