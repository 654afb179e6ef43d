# frozen_string_literal: true

require "support/gateway_case"

# Against a real gateway: what the contract promises arrives.
class TestGateway < GatewayCase
  def test_a_plain_run_has_no_session
    result = client.run("kv", input: { n: 2**70, "schlüssel" => "𝄞" })

    assert_equal ["", nil], [result.session_id, result.session]
    assert_equal [2**70, "𝄞"], result.output["state"].values_at("n", "schlüssel")
    refute_empty result.call_id
  end

  def test_a_session_keeps_its_state_until_it_ends
    opened = client.run("kv", function: :set_value, input: { key: "a", value: 1 }, session: "new", session_timeout: 90)
    found = client.run("kv", function: :get_value, input: { key: "a" }, session: opened.session_id)

    assert_equal [1, 2, 90], [found.output["value"], found.session.call_count, found.session.session_timeout]
    assert_equal [:active, nil], client.sessions.get(opened.session_id).to_h.values_at(:status, :end_reason)
    assert_operator client.sessions.keepalive(opened.session_id).expires_in, :>, 80
    assert_equal %i[ended caller], client.sessions.end(opened.session_id).to_h.values_at(:status, :end_reason)
    error = assert_raises(SessionGateway::SessionEndedError) { client.run("kv", session: opened.session_id) }

    assert_equal [:caller, :not_started, 410, "FAILED_PRECONDITION"],
                 [error.end_reason, error.run_state, error.http_status, error.grpc_status]
  end

  def test_lists_walk_over_all_pages_as_they_are_needed
    SessionGateway::Client.open(address: gateway.address, api_key: "a-caller-of-its-own") do |mine|
      ids = Array.new(3) { mine.run("kv", session: "new").session_id }

      assert_equal ids.reverse, mine.sessions.list(page_size: 1).map(&:id)
      assert_equal ids.last, mine.sessions.list(page_size: 1).first.id
      mine.sessions.end(ids[0])
      assert_equal ids[1..].reverse, mine.sessions.list(status: :active, app: "kv").map(&:id)
      ids.each { |id| mine.sessions.end(id) }
    end
    assert_equal %w[interpreter kv sql], client.apps.list(page_size: 1).map(&:name)
  end

  def test_an_app_is_described
    app = client.apps.get("sql")
    rows = app.functions.find { |function| function.name == "rows" }

    assert_equal ["sql", [app.version]], [app.name, app.versions]
    assert_equal [true, "object"], [rows.streams, rows.input_schema["type"]]
  end

  def test_the_errors_of_an_app_and_of_an_input_say_what_was_wrong
    invalid = assert_raises(SessionGateway::InvalidInputError) do
      client.run("kv", function: "set_value", input: { key: 1 })
    end

    assert_equal %w[input.key input.value], invalid.field_violations.map(&:field).sort
    assert_raises(SessionGateway::FunctionNotFoundError) { client.run("kv", function: "nothing") }
    assert_raises(SessionGateway::AppNotFoundError) { client.apps.get("nobody") }
  end

  def test_a_worker_that_dies_says_how
    error = assert_raises(SessionGateway::WorkerLostError) do
      client.run("interpreter", input: code("import os; os.kill(os.getpid(), 9)"), session: "new")
    end

    assert_equal [{ signal: 9 }, :unknown], [error.worker_exit, error.run_state]
  end

  def test_a_session_handle_lives_for_its_block
    id = client.session("kv", session_timeout: 90) do |session|
      session.call("set_value", { key: "a", value: 1 })
      assert_equal 1, session.call("get_value", { key: "a" }).output["value"]
      assert_equal 2, session.info.call_count
      session.id
    end

    assert_equal :ended, client.sessions.get(id).status
  end

  def test_keepalive_finds_a_lost_session_and_says_why
    losses = Thread::Queue.new
    client.session("interpreter", keepalive: true, on_lost: ->(error) { losses << error }) do |session|
      session.call(code("import os, threading; threading.Timer(0.2, os._exit, [3]).start()"))
      loss = losses.pop

      assert_equal [:worker_lost, { exit_code: 3 }], [loss.end_reason, loss.worker_exit]
      error = assert_raises(SessionGateway::SessionEndedError) { session.call(code("1")) }

      assert_equal :not_started, error.run_state
    end
  end

  def test_keepalive_lets_a_session_outlive_its_timeout
    client.session("kv", session_timeout: 1, keepalive: true) do |session|
      opened = session.call.session
      wait_until { session.info.expires_at > opened.expires_at + 1.2 }

      assert_equal 2, session.call.output["calls"]
    end
  end

  def test_a_stream_gives_its_outputs_and_then_the_result
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n"
    rows = []
    result = client.run_stream("sql", function: "rows", input: { sql:, batch_rows: 2 }) do |batch|
      rows.concat(batch["rows"].flatten)
    end

    assert_equal [[1, 2, 3, 4, 5], 5], [rows, result.output["row_count"]]
  end

  def test_a_stream_can_open_a_session_and_be_left_early
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    client.session("sql") do |session|
      session.call("query", { sql: "SELECT 1" })
      batch = session.stream("rows", { sql:, batch_rows: 1 }).first

      assert_equal [[1]], batch["rows"]
      # The endless function gave way, or this would wait for its turn for ever.
      assert_equal [[2]], session.call("query", { sql: "SELECT 2" }, timeout: 30).output["rows"]
    end
  end

  def test_a_deadline_and_a_cancellation_end_a_run_on_the_gateway_too
    client.session("interpreter") do |session|
      session.call(code("import asyncio"))
      error = assert_raises(SessionGateway::DeadlineExceededError) do
        session.call(code("await asyncio.sleep(600)"), timeout: 1)
      end

      assert_equal :unknown, error.run_state
      cancellation = SessionGateway::Cancellation.new
      run = once_it_runs(session, cancellation:) { cancellation.cancel }
      assert_raises(SessionGateway::CancelledError) { run.value }
      run = once_it_runs(session) { |thread| thread.raise(Interrupt) }
      assert_raises(Interrupt) { run.value }

      output = session.call(code("1 + 1"), timeout: 30).output

      assert_equal "2", output["result"], output.inspect
    end
  end

  def test_a_repeat_with_the_same_request_id_gets_the_first_answer
    client.session("kv") do |session|
      session.call
      answers = Array.new(2) { session.call(request_id: "r1").output["calls"] }

      assert_equal [2, 2], answers
      error = assert_raises(SessionGateway::CallCountMismatchError) { session.call(expected_call_count: 1) }

      assert_equal :not_started, error.run_state
    end
  end

  def test_a_watch_tells_what_happens
    client.sessions.watch(app: "kv") do |watch|
      id = client.session("kv") { |session| session.call.session_id }
      events = watch.lazy.select { |event| event.session.id == id }.first(2)

      assert_equal %i[created ended], events.map(&:event)
      assert_equal :caller, events.last.session.end_reason
    end
  end

  private

  # Yields the thread of a call that would take minutes, once its code runs: the interpreter cannot stop code that it is
  # about to begin.
  def once_it_runs(session, **options)
    Dir.mktmpdir do |dir|
      begun = File.join(dir, "begun")
      text = "open(#{begun.inspect}, 'w').close()\nawait asyncio.sleep(600)"
      thread = concurrently { session.call(code(text), **options) }
      wait_until { File.exist?(begun) }
      yield thread
      thread
    end
  end
end
