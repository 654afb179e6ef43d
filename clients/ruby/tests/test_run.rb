# frozen_string_literal: true

require "logger"
require "socket"
require "stringio"
require "support/relay"
require "support/scripted_case"

class TestRun < ScriptedCase
  UNAVAILABLE = GRPC::Core::StatusCodes::UNAVAILABLE

  def sent
    @gateway.requests[:run].size
  end

  def test_a_run_is_sent_again_while_the_gateway_takes_nothing
    store = Statuses.from_gateway(UNAVAILABLE, :ERROR_CODE_STORE_UNAVAILABLE, run_state: :RUN_STATE_NOT_STARTED)
    in_turn(:run, failing(Statuses.draining), failing(store), ->(*) { ScriptedGateway.run_response('{"a":1}') })

    assert_equal({ "a" => 1 }, @client.run("kv").output)
    assert_equal 3, sent
  end

  def test_a_gateway_that_drains_for_ever_is_given_up
    @gateway.on(:run) { raise Statuses.draining }
    error = assert_raises(SessionGateway::GatewayDrainingError) { @client.run("kv") }

    assert_equal [4, :not_started], [sent, error.run_state]
  end

  def test_a_drained_run_does_not_wait_beyond_the_deadline
    @gateway.on(:run) { raise Statuses.draining(retry_after: 0.9) }
    assert_raises(SessionGateway::GatewayDrainingError) { @client.run("kv", timeout: 0.8) }

    assert_equal 1, sent
  end

  def test_a_run_is_sent_once_when_the_gateway_answers_unavailable
    @gateway.on(:run) { raise Statuses.bare(UNAVAILABLE, "no") }
    error = assert_raises(SessionGateway::UnavailableError) { @client.run("kv") }

    assert_equal [1, :unknown], [sent, error.run_state]
  end

  def test_what_is_safe_to_repeat_is_repeated
    relay = Relay.new(@gateway.address)
    client = SessionGateway::Client.new(address: relay.address, api_key: "")
    release = Thread::Queue.new
    in_turn(:get_session, ->(*) { release.pop },
            ->(*) { V1::GetSessionResponse.new(session: ScriptedGateway.session("s")) })
    read = concurrently { client.sessions.get("s") }
    @gateway.requests[:get_session].pop
    relay.cut

    assert_equal "s", read.value.id
  ensure
    release.close
    client.close
    relay.stop
  end

  def test_a_run_is_sent_once_when_the_connection_breaks_under_it
    relay = Relay.new(@gateway.address)
    client = SessionGateway::Client.new(address: relay.address, api_key: "")
    release = Thread::Queue.new
    @gateway.on(:run) { release.pop }
    run = concurrently { client.run("kv") }
    @gateway.requests[:run].pop
    relay.cut
    error = assert_raises(SessionGateway::UnavailableError) { run.value }

    assert_equal [0, :unknown], [sent, error.run_state]
    answer_runs

    assert_empty client.run("kv").output
  ensure
    release << ScriptedGateway.run_response("{}")
    client.close
    relay.stop
  end

  def test_without_a_connection_a_run_has_not_started
    client = SessionGateway::Client.new(address: "127.0.0.1:1", api_key: "",
                                        pacing: quick_pacing(connect_patience: 0.0))
    2.times do
      error = assert_raises(SessionGateway::UnavailableError) { client.run("kv") }

      assert_equal :not_started, error.run_state
    end
  ensure
    client.close
  end

  def test_a_gateway_that_comes_back_is_found_by_a_run_that_waits
    @gateway.stop
    assert_raises(SessionGateway::UnavailableError) { @client.run("kv") }
    @gateway = ScriptedGateway.new(port: @gateway.address.split(":").last)
    answer_runs

    assert_empty @client.run("kv").output
  end

  def test_a_deadline_that_passes_while_connecting_says_that_nothing_was_sent
    # It takes connections, and never says a word.
    silent = TCPServer.new("127.0.0.1", 0)
    client = SessionGateway::Client.new(address: "127.0.0.1:#{silent.local_address.ip_port}", api_key: "")
    error = assert_raises(SessionGateway::DeadlineExceededError) { client.run("kv", timeout: 0.2) }

    assert_equal :not_started, error.run_state
  ensure
    client.close
    silent.close
  end

  def test_a_run_can_be_cancelled_from_another_thread
    cancellation = SessionGateway::Cancellation.new
    release = Thread::Queue.new
    @gateway.on(:run) { release.pop }
    run = concurrently { @client.run("kv", cancellation:) }
    @gateway.requests[:run].pop
    cancellation.cancel
    error = assert_raises(SessionGateway::CancelledError) { run.value }

    assert_equal ["CANCELLED", :unknown], [error.code, error.run_state]
    late = assert_raises(SessionGateway::CancelledError) { @client.run("kv", cancellation:) }

    assert_equal :not_started, late.run_state
  ensure
    release << ScriptedGateway.run_response("{}")
  end

  def test_a_pause_between_attempts_can_be_cancelled
    cancellation = SessionGateway::Cancellation.new
    slow = SessionGateway::Backoff.new(initial: 1_000.0, maximum: 1_000.0, multiplier: 1)
    client = SessionGateway::Client.new(address: @gateway.address, api_key: "", pacing: quick_pacing(drain: slow))
    @gateway.on(:run) { raise Statuses.draining }
    run = concurrently { client.run("kv", cancellation:) }
    @gateway.requests[:run].pop
    cancellation.cancel
    error = assert_raises(SessionGateway::CancelledError) { run.value }

    assert_includes %i[not_started unknown], error.run_state
  ensure
    client.close
  end

  def test_closing_the_client_ends_its_runs
    release = Thread::Queue.new
    @gateway.on(:run) { release.pop }
    run = concurrently { @client.run("kv") }
    @gateway.requests[:run].pop
    @client.close

    assert_raises(SessionGateway::CancelledError) { run.value }
    assert_raises(SessionGateway::UsageError) { @client.run("kv") }
  ensure
    release << ScriptedGateway.run_response("{}")
  end

  def test_timeout_ends_a_run
    release = Thread::Queue.new
    @gateway.on(:run) { release.pop }

    assert_raises(Timeout::Error) { Timeout.timeout(0.1) { @client.run("kv") } }
  ensure
    release << ScriptedGateway.run_response("{}")
  end

  def test_an_output_that_is_not_json_says_that_the_run_is_over
    answer_runs("{")
    error = assert_raises(SessionGateway::Error) { @client.run("kv") }

    assert_equal ["INVALID_RESPONSE", :completed, "call_1"], [error.code, error.run_state, error.call_id]
  end

  def test_answers_of_many_mebibytes_are_received
    answer_runs("{\"t\":\"#{"x" * (20 * 1024 * 1024)}\"}")

    assert_equal 20 * 1024 * 1024, @client.run("kv").output["t"].size
  end

  def test_many_threads_share_a_client
    @gateway.on(:run) { |request, _| ScriptedGateway.run_response(request.input_json) }
    outputs = Array.new(8) do |n|
      concurrently do
        Array.new(20) do |m|
          @client.run("kv", input: { n:, m: }).output
        end
      end
    end

    assert_equal Array.new(8) { |n| Array.new(20) { |m| { "n" => n, "m" => m } } }, outputs.map(&:value)
  end

  def test_what_cannot_be_sent_is_refused_before_anything_is_sent
    assert_raises(ArgumentError) { @client.run("kv", input: { x: Float::NAN }) }
    assert_raises(ArgumentError) { @client.run("kv", sesion: "new") }
    assert_raises(TypeError) { @client.run("kv", timeout: "soon") }
    assert_raises(ArgumentError) { @client.run("kv", timeout: Float::NAN) }
    assert_raises(TypeError) { @client.sessions.list(page_size: "all") }
    assert_raises(ArgumentError) { @client.apps.list(page_size: 2**40) }
    assert_equal 0, sent
  end

  def test_a_timeout_of_a_client_or_a_handle_is_looked_at_at_once
    assert_raises(TypeError) { SessionGateway::Client.new(timeout: "soon") }
    assert_raises(TypeError) { @client.session("kv", timeout: "soon") }
  end

  def test_an_iteration_that_the_reader_of_a_list_stops_is_its_own
    @gateway.on(:list_sessions) { V1::ListSessionsResponse.new(sessions: [ScriptedGateway.session("s")]) }

    assert_raises(StopIteration) { @client.sessions.list { raise StopIteration } }
  end

  def test_what_is_tried_again_is_told_to_the_logger
    log = StringIO.new
    client = SessionGateway::Client.new(
      address: @gateway.address, api_key: "", logger: Logger.new(log), pacing: quick_pacing
    )
    in_turn(:run, failing(Statuses.draining), ->(*) { ScriptedGateway.run_response("{}") })
    client.run("kv")

    assert_match(/DEBUG.*sent again/, log.string)
  ensure
    client.close
  end
end
