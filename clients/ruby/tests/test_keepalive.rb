# frozen_string_literal: true

require "support/scripted_case"
require "support/keepalive_script"

class TestKeepalive < ScriptedCase
  ENDED = V1::ErrorDetail.new(
    code: :ERROR_CODE_SESSION_ENDED, message: "over", session_id: "a", end_reason: :END_REASON_WORKER_LOST
  )

  def test_a_dead_session_is_told_and_the_live_ones_go_on
    script = KeepaliveScript.new(@gateway)
    @client.keepalive("a", "b") do |stream|
      wire = script.streams.pop
      assert_equal %w[a b], wire.asked.pop
      wire.say("a", error: ENDED)
      wire.say("b", session: ScriptedGateway.session("b"))
      lost, renewed = stream.first(2)

      assert_equal ["a", :worker_lost, nil], [lost.session_id, lost.error.end_reason, lost.session]
      assert_instance_of SessionGateway::SessionEndedError, lost.error
      assert_equal ["b", "b", nil], [renewed.session_id, renewed.session.id, renewed.error]
    end
  end

  def test_reading_ends_when_all_are_lost
    script = KeepaliveScript.new(@gateway)
    stream = @client.keepalive(["a"])
    script.streams.pop.say("a", error: ENDED)

    assert_equal ["a"], stream.map(&:session_id)
    assert_predicate stream, :finished?
  end

  def test_sessions_are_renewed_at_a_third_of_their_timeout
    script = KeepaliveScript.new(@gateway, timeout: 1)
    begun = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    @client.keepalive("a") do |stream|
      wire = script.streams.pop
      3.times { assert_equal ["a"], wire.asked.pop }
      took = Process.clock_gettime(Process::CLOCK_MONOTONIC) - begun

      assert_operator took, :>=, 0.66
      assert_equal "a", stream.next_event.session_id
      assert_empty script.streams
    end
  end

  def test_many_sessions_are_asked_about_in_messages_of_a_thousand
    script = KeepaliveScript.new(@gateway)
    @client.keepalive(Array.new(2500, &:to_s)) do
      asked = script.streams.pop.asked

      assert_equal 2500, Array.new(3) { asked.pop.size.tap { |size| assert_operator size, :<=, 1000 } }.sum
    end
  end

  def test_answers_that_change_nothing_are_not_looked_at_one_by_one
    looks = 0
    clock = lambda do
      looks += 1
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
    KeepaliveScript.new(@gateway, timeout: 60)
    client = SessionGateway::Client.new(address: @gateway.address, api_key: "", pacing: quick_pacing(clock:))
    client.keepalive(Array.new(2000, &:to_s)) do |stream|
      left = Array.new(2000, &:to_s).to_set
      left.delete(stream.next_event.session_id) until left.empty?

      assert_operator looks, :<, 50
    end
  ensure
    client.close
  end

  def test_the_sessions_of_a_client_share_one_stream
    script = KeepaliveScript.new(@gateway)
    @client.keepalive("a") do
      wire = script.streams.pop
      assert_equal ["a"], wire.asked.pop
      @client.keepalive("b") { assert_equal ["b"], wire.asked.pop }
    end
    assert_empty script.streams
  end

  def test_two_who_renew_the_same_session_both_hear_of_it
    script = KeepaliveScript.new(@gateway)
    one = @client.keepalive("a")
    wire = script.streams.pop
    wire.asked.pop
    two = @client.keepalive("a")
    wire.asked.pop
    one.close
    wire.say("a", error: ENDED)

    assert_nil one.next_event
    assert_equal "a", two.next_event.session_id
  end

  def test_closing_ends_a_reader_that_waits
    KeepaliveScript.new(@gateway)
    stream = @client.keepalive("a")
    reader = concurrently { stream.to_a }
    stream.close

    assert_empty reader.value
    assert_nil stream.next_event
  end

  def test_nothing_in_time_is_nil
    KeepaliveScript.new(@gateway)
    @client.keepalive("a") do |stream|
      assert_nil stream.next_event(timeout: 0.01)
      refute_predicate stream, :finished?
    end
  end

  def test_what_was_not_read_is_dropped_by_closing
    script = KeepaliveScript.new(@gateway, timeout: 60)
    stream = @client.keepalive("a", "b")
    script.streams.pop
    stream.next_event
    stream.close

    assert_empty stream.to_a
    assert_predicate stream, :finished?
  end

  def test_a_stream_that_is_closed_while_it_begins_renews_nothing
    discarded = nil
    renewer = Object.new
    stream = SessionGateway::KeepaliveStream.new(renewer, ["a"]) { nil }
    renewer.define_singleton_method(:add) { |*| stream.close }
    renewer.define_singleton_method(:discard) { |session_ids, _| discarded = session_ids }
    stream.open

    assert_equal ["a"], discarded
    assert_empty stream.to_a
  end

  def test_a_client_that_is_closed_renews_nothing
    @client.close

    assert_raises(SessionGateway::UsageError) { @client.keepalive("a") }
  end

  def test_closing_the_client_ends_the_threads
    KeepaliveScript.new(@gateway)
    stream = @client.keepalive("a")
    @client.close

    assert_empty stream.to_a
    assert_empty(Thread.list.filter_map(&:name).select { |name| name.start_with?("sessiongateway") })
  end
end
