# frozen_string_literal: true

require "logger"
require "stringio"
require "support/scripted_case"
require "support/keepalive_script"

# Renewals over a gateway that breaks off, falls silent, or cannot use its store.
class TestKeepaliveOutages < ScriptedCase
  AWAY = V1::ErrorDetail.new(
    code: :ERROR_CODE_STORE_UNAVAILABLE, message: "away", session_id: "a",
    retry_after: Google::Protobuf::Duration.new(nanos: 1_000_000)
  )

  def test_a_stream_that_breaks_is_opened_again_and_asks_about_all
    script = KeepaliveScript.new(@gateway)
    @client.keepalive("a", "b") do
      3.times do
        wire = script.streams.pop
        assert_equal %w[a b], wire.asked.pop
        wire.answers << Statuses.bare(14, "gone")
      end
    end
  end

  def test_a_stream_that_the_gateway_closes_is_opened_again_for_the_next_renewal
    script = KeepaliveScript.new(@gateway, timeout: 1)
    @client.keepalive("a") do |stream|
      wire = script.streams.pop
      stream.next_event
      wire.answers.close

      assert_equal ["a"], script.streams.pop.asked.pop
    end
  end

  def test_a_gateway_that_stops_answering_is_left_and_asked_anew
    now = 0.0
    client = client_with(clock: -> { now }, reply_timeout: 0.05)
    script = KeepaliveScript.new(@gateway)
    client.keepalive("a") do
      assert_equal ["a"], script.streams.pop.asked.pop
      now = 1.0
      assert_equal ["a"], script.streams.pop.asked.pop
    end
  ensure
    client.close
  end

  def test_a_session_that_the_store_could_not_renew_is_kept_and_asked_about_again
    script = KeepaliveScript.new(@gateway)
    @client.keepalive("a") do |stream|
      2.times do
        wire = script.streams.pop
        assert_equal ["a"], wire.asked.pop
        wire.say("a", error: AWAY)
      end
      script.streams.pop.say("a", session: ScriptedGateway.session("a"))

      assert_equal "a", stream.next_event.session.id
      refute_predicate stream, :finished?
    end
  end

  def test_the_wait_that_a_failing_store_asks_for_is_kept
    away = V1::ErrorDetail.new(
      code: :ERROR_CODE_STORE_UNAVAILABLE, retry_after: Google::Protobuf::Duration.new(seconds: 1000)
    )
    log = StringIO.new
    client = client_with(logger: Logger.new(log))
    script = KeepaliveScript.new(@gateway)
    client.keepalive("a") do
      script.streams.pop.say("a", error: away)
      wait_until { log.string.include?("a new stream in 1000.0 s") }
    end
  ensure
    client.close
  end

  def test_a_stream_that_is_refused_for_good_loses_all_its_sessions
    @gateway.on(:stream_keepalive) { raise Statuses.from_gateway(16, :ERROR_CODE_UNAUTHENTICATED) }
    events = @client.keepalive("a", "b").to_a

    assert_equal %w[a b], events.map(&:session_id).sort
    assert_equal ["UNAUTHENTICATED"], events.map { |event| event.error.code }.uniq
  end

  private

  # Returns a client whose streams are opened again at once, by a clock that may stand still.
  def client_with(logger: nil, **pacing)
    at_once = SessionGateway::Backoff.new(initial: 0.0, maximum: 0.0, multiplier: 1)
    SessionGateway::Client.new(
      address: @gateway.address, api_key: "", logger:, pacing: quick_pacing(reconnect: at_once, **pacing)
    )
  end
end
