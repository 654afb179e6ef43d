# frozen_string_literal: true

require "google/rpc/error_details_pb"
require "google/rpc/status_pb"
require "json"
require "support/gateway_case"

# Without the client: the generated stub alone makes a call and reads the details of an error.
class TestBareStub < GatewayCase
  def stub
    V1::SessionService::Stub.new(gateway.address, :this_channel_is_insecure)
  end

  def test_a_run_with_json_and_one_with_a_struct
    json = stub.run(V1::RunRequest.new(app: "kv", function: "keys", input_json: "{}"))
    struct = stub.run(V1::RunRequest.new(app: "kv", function: "keys", input: Google::Protobuf::Struct.new))

    assert_equal JSON.parse(json.output_json).keys.sort, struct.output.to_h.keys.sort
  end

  def test_the_details_of_an_error
    error = assert_raises(GRPC::InvalidArgument) { stub.run(V1::RunRequest.new(app: "no name", session: "abc")) }
    details = error.to_rpc_status.details.to_h { |each| [each.type_name, each] }
    info = details["google.rpc.ErrorInfo"].unpack(Google::Rpc::ErrorInfo)
    detail = details["sessiongateway.v1.ErrorDetail"].unpack(V1::ErrorDetail)
    request = details["google.rpc.BadRequest"].unpack(Google::Rpc::BadRequest)

    assert_equal %w[INVALID_REQUEST sessiongateway], [info.reason, info.domain]
    assert_equal %i[ERROR_CODE_INVALID_REQUEST RUN_STATE_NOT_STARTED], [detail.code, detail.run_state]
    assert_equal %w[app session], request.field_violations.map(&:field).sort
  end
end
