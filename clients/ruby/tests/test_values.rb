# frozen_string_literal: true

require "support/test_case"

class TestValues < TestCase
  Text = SessionGateway::JSONText
  Convert = SessionGateway::Convert

  def test_values_come_back_as_they_were
    value = { "i" => (2**53) + 1, "big" => -(10**40), "f" => 0.1, "t" => "aß€𝄞", "l" => [nil, true, false, {}] }

    assert_equal value, Text.decode(Text.encode(value))
  end

  def test_symbols_are_names_and_hashes_of_other_kinds_are_objects
    assert_equal '{"key":"word"}', Text.encode({ key: :word })
    assert_equal '{"a":{"b":1}}', Text.encode({ "a" => Class.new { def to_hash = { b: 1 } }.new })
  end

  def test_text_in_other_encodings_is_sent_as_utf8
    assert_equal '{"t":"é"}', Text.encode({ t: "é".encode("ISO-8859-1") })
  end

  def test_what_json_does_not_have_is_refused
    assert_raises(ArgumentError) { Text.encode({ x: Float::NAN }) }
    assert_raises(ArgumentError) { Text.encode({ x: [-Float::INFINITY] }) }
    assert_raises(ArgumentError) { Text.encode({ x: "\xff" }) }
    assert_raises(TypeError) { Text.encode({ x: Time.now }) }
    assert_raises(TypeError) { Text.encode({ 1 => 2 }) }
    assert_raises(TypeError) { Text.encode([1]) }
  end

  def test_what_is_too_deep_or_holds_itself_is_refused
    loop_of_one = {}
    loop_of_one[:self] = loop_of_one

    assert_raises(ArgumentError) { Text.encode(loop_of_one) }
    assert_raises(ArgumentError) { concurrently { Text.decode("#{"[" * 100_000}#{"]" * 100_000}") }.value }
  end

  def test_what_is_not_json_is_an_error
    assert_raises(ArgumentError) { Text.decode("{") }
  end

  def test_every_field_reaches_the_request
    request = Convert.run_request(
      app: :kv, function: "set", input: { a: 1 }, session: "new", session_timeout: 0, worker_id: "w", request_id: "r",
      expected_call_count: 2**40
    )

    assert_equal ["kv", "set", '{"a":1}', "new"], [request.app, request.function, request.input_json, request.session]
    assert_equal ["w", "r", 2**40], [request.worker_id, request.request_id, request.expected_call_count]
    assert_predicate request, :has_session_timeout?
  end

  def test_fields_that_are_left_out_are_not_sent
    request = Convert.run_request(app: "kv", function: nil, session_timeout: nil, expected_call_count: nil)

    refute_predicate request, :has_session_timeout?
    refute_predicate request, :has_expected_call_count?
    assert_equal "{}", request.input_json
  end

  def test_fields_of_the_wrong_kind_are_refused_by_name
    error = assert_raises(TypeError) { Convert.run_request(app: "kv", session_timeout: "60") }

    assert_includes error.message, "session_timeout"
    assert_raises(TypeError) { Convert.run_request(app: nil) }
    assert_raises(TypeError) { Convert.run_request(app: "kv", input: false) }
    assert_raises(ArgumentError) { Convert.run_request(app: "kv", session_timeout: 2**31) }
    assert_raises(ArgumentError) { Convert.run_request(app: "kv", function: "\xff") }
  end

  def test_values_of_enums_that_only_a_newer_gateway_knows_have_their_number
    info = Convert.session_info(V1::Session.new(status: 77, end_reason: 99))

    assert_equal %i[unknown_77 unknown_99], [info.status, info.end_reason]
  end

  def test_a_session_that_says_little_has_nils
    info = Convert.session_info(V1::Session.new(id: "s", status: :SESSION_STATUS_ENDED))

    assert_equal [nil, nil, nil, 0.0], [info.end_reason, info.created_at, info.worker_exit, info.expires_in]
    refute_predicate info, :active?
  end

  def test_a_worker_that_vanished_unseen_has_an_empty_exit
    assert_equal({}, Convert.worker_exit(V1::WorkerExit.new))
    assert_equal({ exit_code: 0 }, Convert.worker_exit(V1::WorkerExit.new(exit_code: 0)))
  end

  def test_an_answer_in_the_other_form_is_read_too
    output = Google::Protobuf::Struct.from_hash({ "a" => [1.5, nil, { "b" => true }] })
    result = Convert.run_result(V1::RunResponse.new(output:))

    assert_equal({ "a" => [1.5, nil, { "b" => true }] }, result.output)
  end

  def test_there_is_no_status_of_another_name
    assert_equal 1, Convert.session_status("active")
    assert_raises(ArgumentError) { Convert.session_status(:asleep) }
    assert_raises(ArgumentError) { Convert.session_status(:unspecified) }
  end
end
