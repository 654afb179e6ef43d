# frozen_string_literal: true

require "sessiongateway/v1/apps_services_pb"
require "sessiongateway/v1/sessions_services_pb"

# A server on a free port whose answers are blocks of the test. `requests` keeps what came, by RPC.
class ScriptedGateway
  V1 = SessionGateway::V1

  # The service, which asks the script.
  class Service < V1::SessionService::Service
    def initialize(gateway)
      super()
      @gateway = gateway
    end

    %i[run run_stream get_session list_sessions keepalive stream_keepalive watch_sessions end_session].each do |rpc|
      # A stream's handler is given its requests as an Enumerator, others one message.
      define_method(rpc) { |request, call| @gateway.answer(rpc, request, call) }
    end
  end

  attr_reader :address, :requests, :metadata

  def initialize(credentials = :this_port_is_insecure, port: 0)
    @answers = {}
    @requests = Hash.new { |all, rpc| all[rpc] = Thread::Queue.new }
    @metadata = Thread::Queue.new
    # A handler that is stuck on a stream must not hold up the end of a test.
    @server = GRPC::RpcServer.new(pool_size: 20, pool_keep_alive: 0.1, poll_period: 0.1)
    @address = "127.0.0.1:#{@server.add_http2_port("127.0.0.1:#{port}", credentials)}"
    @server.handle(Service.new(self))
    @thread = Thread.new { @server.run }
    @server.wait_till_running
  end

  # Answers an RPC with what the block returns; a stream with what it enumerates.
  def on(rpc, &block)
    @answers[rpc] = block
    self
  end

  def answer(rpc, request, call)
    @metadata << call.metadata
    @requests[rpc] << request
    @answers.fetch(rpc).call(request, call)
  end

  def stop
    @server.stop
    @thread.join
  end

  # Returns a session as the gateway would tell it.
  def self.session(id, **fields)
    V1::Session.new(id:, app: "kv", version: "1", status: :SESSION_STATUS_ACTIVE, session_timeout: 60, **fields)
  end

  # Returns the answer of a run, in a session if one is named.
  def self.run_response(output, session_id: nil, **fields)
    session = session_id && session(session_id, **fields)
    V1::RunResponse.new(session_id: session_id || "", output_json: output.b, call_id: "call_1", session:)
  end
end
