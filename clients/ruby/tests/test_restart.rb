# frozen_string_literal: true

require "support/test_case"
require "support/real_gateway"

# A gateway that stops, or is killed, and comes back: sessions, watches and renewals go on.
class TestRestart < TestCase
  def setup
    @gateway = RealGateway.new(drain: "keep")
    @client = SessionGateway::Client.new(address: @gateway.address, api_key: "")
  end

  def teardown
    @client&.sessions&.list(status: :active) { |session| @client.sessions.end(session.id) }
    @client&.close
    @gateway&.stop
  end

  def test_sessions_watches_and_renewals_outlive_the_gateway
    watch = @client.sessions.watch
    session = @client.session("kv", keepalive: true)
    session.call("set_value", input: { key: "a", value: 1 })
    %w[TERM KILL].each do |signal|
      before = session.info.expires_at
      @gateway.restart(signal)
      wait_until { session.info.expires_at > before }

      assert_equal 1, session.call("get_value", input: { key: "a" }).output["value"]
    end
    assert_equal :ended, session.end.status
    assert_equal(%i[created ended], watch.first(2).map(&:event))
  end

  def test_a_run_under_a_gateway_that_is_killed_may_have_been_applied
    session = @client.session("interpreter")
    session.call(input: { code: "import os, time" })
    Dir.mktmpdir do |dir|
      gate = File.join(dir, "gate")
      input = { code: "while not os.path.exists(#{gate.inspect}): time.sleep(0.01)\n42" }
      run = concurrently { session.call(input:, request_id: "r") }
      wait_until { @client.sessions.get(session.id).call_count == 2 }
      @gateway.restart("KILL")
      error = assert_raises(SessionGateway::UnavailableError) { run.value }

      assert_equal :unknown, error.run_state
      File.write(gate, "")

      assert_equal "42", session.call(input:, request_id: "r").output["result"]
    end
  end
end
