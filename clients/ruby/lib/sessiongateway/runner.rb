# frozen_string_literal: true

require "sessiongateway/transport"

module SessionGateway
  # Runs functions; the only place that sends a run more than once.
  #
  # @api private
  class Runner
    STATUS_WAIT = 1.0

    attr_reader :pacing

    # +timeout+ in seconds holds for requests that have none of their own.
    def initialize(transport, timeout)
      @transport = transport
      @pacing = transport.pacing
      @timeout = timeout
    end

    # Yields the Call of a run.
    def call(timeout, cancellation, &)
      @transport.call(timeout: timeout || @timeout, cancellation:, run: true, &)
    end

    # @return [RunResult]
    # @raise [Error] see Client#run
    def run(call, request)
      result(resending(call, -> { true }) { @transport.run(call, request) })
    end

    # Yields each partial output of a run, decoded, and returns its result.
    #
    # @return [RunResult]
    # @raise [Error] see Client#run
    def stream(call, request, &)
      answer = Answer.new
      resending(call, -> { answer.nothing? }) { read(call, request, answer, &) }
      return result(answer.result) if answer.result

      raise Error.new("the stream ended without a result", code: "INVALID_RESPONSE", run_state: :unknown)
    end

    # What has come of a streamed answer.
    Answer = Struct.new(:begun, :result, :over) do
      def nothing?
        !begun
      end
    end
    private_constant :Answer

    private

    def read(call, request, answer)
      answer.over = false
      @transport.run_stream(call, request) do |part|
        answer.begun = true
        if part.part == :result
          answer.result = part.result
          see_off(call, answer)
        elsif part.part
          # Otherwise it is of a kind that only a newer gateway knows.
          output = partial(part)
          call.lend { yield output }
        end
      end
    rescue Error
      raise unless answer.result
    ensure
      answer.over = true
      call.wake
    end

    # The status usually comes along with the result; who leaves without it looks to the gateway like a caller that has
    # given up. But nobody who has the result waits long for it, or is told that it did not come.
    def see_off(call, answer)
      Thread.new do
        call.pause(STATUS_WAIT) { answer.over }
        call.stop("no status came behind the result") unless answer.over
      rescue Error
        nil
      end
    end

    # A gateway that answers so has taken nothing. A broken connection does not say as much.
    def resending(call, may_resend)
      attempt = 0
      begin
        yield
      rescue GatewayDrainingError, StoreUnavailableError => e
        raise unless may_resend.call && (e.run_state.nil? || e.run_state == :not_started)

        delay = [e.retry_after || 0.0, @pacing.drain.delay(attempt, @pacing.random.call)].max
        attempt += 1
        raise if attempt >= @pacing.drain_attempts || call.remaining&.<=(delay)

        @transport.log { "a run is sent again in #{delay.round(2)} s: #{e.message}" }
        call.pause(delay)
        retry
      end
    end

    def result(response)
      Convert.run_result(response)
    rescue ArgumentError => e
      raise Error.new(
        "the output cannot be read: #{e.message}",
        code: "INVALID_RESPONSE", run_state: :completed, call_id: response.call_id,
        session_id: response.session_id.empty? ? nil : response.session_id
      ), cause: nil
    end

    def partial(part)
      Convert.partial_output(part)
    rescue ArgumentError => e
      message = "a partial output cannot be read: #{e.message}"
      raise Error.new(message, code: "INVALID_RESPONSE", run_state: :unknown), cause: nil
    end
  end
end
