# frozen_string_literal: true

# Reads a RunStream step by step. An Enumerator belongs to one thread, and steps are asked for on many.
class StreamReader
  def initialize(stream)
    @stream = stream
    @steps = Thread::Queue.new
    @thread = Thread.new { serve(stream.each) }
  end

  # Returns the next partial output, the result or the end, as the protocol has them. Raises what the stream raises.
  def next
    answer = Thread::Queue.new
    @steps << answer
    value = answer.pop
    value.is_a?(Exception) ? raise(value) : value
  rescue ClosedQueueError
    { end: true }
  end

  # Ends the stream by cancelling a step, which raises CancelledError then.
  def cancel
    @stream.close
  end

  def close
    @stream.close
    @steps.close
  end

  private

  def serve(outputs)
    ended = false
    while (answer = @steps.pop)
      answer << (ended ? { end: true } : step(outputs))
      ended ||= @ended
    end
  end

  def step(outputs)
    { partial: Answers.json(outputs.next) }
  rescue StopIteration
    @ended = true
    # A step that had not begun to wait when it was cancelled.
    return SessionGateway::CancelledError.new("the step was cancelled") if @stream.closed?

    { result: Answers.result(@stream.result) }
  rescue StandardError, SystemStackError => e
    @ended = true
    e
  end
end
