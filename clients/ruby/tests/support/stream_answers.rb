# frozen_string_literal: true

# What a scripted gateway answers to streamed runs.
module StreamAnswers
  def part(output)
    SessionGateway::V1::RunStreamResponse.new(partial_json: output.b)
  end

  def last(output = "{}", **fields)
    SessionGateway::V1::RunStreamResponse.new(result: ScriptedGateway.run_response(output, **fields))
  end

  def answer_streams(*parts)
    @gateway.on(:run_stream) { parts.each }
  end

  # Sends for as long as somebody reads.
  def endless(call, cancelled, padding = "")
    Enumerator.new do |out|
      until call.cancelled?
        yield if block_given?
        out << part(%({"padding":"#{padding}"}))
      end
    ensure
      cancelled << true
    end
  end
end
