# frozen_string_literal: true

require "support/test_case"
require "support/scripted_gateway"
require "support/statuses"

# A test with a scripted gateway and a client of it.
class ScriptedCase < TestCase
  def setup
    @gateway = ScriptedGateway.new
    @client = SessionGateway::Client.new(address: @gateway.address, api_key: "", pacing: quick_pacing)
  end

  def teardown
    @client.close
    @gateway.stop
  end

  def answer_runs(output = "{}", **fields)
    @gateway.on(:run) { ScriptedGateway.run_response(output, **fields) }
  end

  # Answers an RPC by what each block returns, in turn; the last one for ever.
  def in_turn(rpc, *blocks)
    mutex = Mutex.new
    @gateway.on(rpc) do |request, call|
      block = mutex.synchronize { blocks.size > 1 ? blocks.shift : blocks.first }
      block.call(request, call)
    end
  end

  def failing(status)
    ->(*) { raise status }
  end

  # Returns what enumerates messages as they are put into the queue, until it is closed.
  def messages(queue)
    Enumerator.new do |out|
      while (message = queue.pop)
        out << message
      end
    end
  end
end
