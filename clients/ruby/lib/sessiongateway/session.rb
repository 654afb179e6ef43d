# frozen_string_literal: true

require "sessiongateway/opening"
require "sessiongateway/run_stream"

module SessionGateway
  # One session, made by Client#session. May be used by several threads.
  #
  # The first call opens it; calls that arrive meanwhile wait for that. If the first call fails there is no session, and
  # the next call is the first again. A stream is a call too, and opens the session with its result. From then on every
  # call goes to the session's own app and version, also when a newer one has been deployed. A session that has finished
  # is never replaced: its calls raise.
  class Session
    # @return [String, nil] the session's id; nil before the first call has succeeded
    attr_reader :id
    # @return [SessionInfo, nil] the session as it was in the newest answer
    attr_reader :info
    # @return [Error, nil] why the session is lost, once automatic keepalive has found that out
    attr_reader :lost

    # @api private
    def initialize(app, runner:, sessions:, renewer:, session_timeout:, timeout:, on_lost:)
      @app = app
      @runner = runner
      @sessions = sessions
      @renewer = renewer
      @session_timeout = session_timeout
      @timeout = Convert.timeout(timeout)
      @on_lost = on_lost
      @opening = Opening.new
      @mutex = Mutex.new
      # Those that are being read.
      @streams = {}.compare_by_identity
      @sink = method(:hear)
    end

    # Calls a function: call("name", input: { a: 1 }), or the app's default one: call(input: { a: 1 }). The input may
    # also stand without its name, in braces: call("name", { a: 1 }), call({ a: 1 }).
    #
    # @param function [String, Symbol, nil] which function; nil: the default one
    # @param input [Hash, nil] a JSON object
    # @param timeout [Numeric, nil] seconds for this call, overriding the handle's
    # @param cancellation [Cancellation, nil]
    # @param request_id [String, nil] idempotency key
    # @param expected_call_count [Integer, nil] how many calls the session must have had; not for the call that opens it
    # @return [RunResult]
    # @raise [ArgumentError, TypeError] an argument cannot be sent. Nothing was sent
    # @raise [UsageError] the handle is closed; or a stream whose reader is this thread is opening the session
    # @raise [Error] the call failed; or, with keepalive, the session is known to be lost
    def call(
      function = nil, braced = nil, input: nil, timeout: nil, cancellation: nil, request_id: nil,
      expected_call_count: nil
    )
      request = request(function, [braced, input], request_id, expected_call_count)
      @runner.call(timeout || @timeout, cancellation) do |call|
        in_session(call, request) { @runner.run(call, request) }
      end
    end

    # Calls a function as +call+ does, and gives its partial outputs: to a block, and then returns the RunResult;
    # without a block as a RunStream, which sends nothing before it is read.
    #
    # @return [RunResult, RunStream]
    # @raise what +call+ raises
    def stream(
      function = nil, braced = nil, input: nil, timeout: nil, cancellation: nil, request_id: nil,
      expected_call_count: nil, &
    )
      request = request(function, [braced, input], request_id, expected_call_count)
      stream = RunStream.new(@runner, timeout || @timeout, cancellation) do |call, &sink|
        while_open(call, stream) { in_session(call, request) { @runner.stream(call, request, &sink) } }
      end
      block_given? ? stream.each(&).result : stream
    end

    # Ends the session, if it was opened, and closes the handle. May be called twice.
    #
    # @return [SessionInfo, nil] the session after its end; nil if there was none
    # @raise [Error] it could not be ended; it will expire by itself
    def end
      id = @mutex.synchronize do
        @closed = true
        @id
      end
      @opening.close
      # A session whose id is not known yet ends only with the stream that opens it.
      @mutex.synchronize { @streams.keys }.each(&:close) if id.nil?
      return @info if id.nil? || @ended

      @renewer&.discard([id], @sink)
      end_session(id)
      @info
    end
    alias close end

    # @return [Boolean] whether the handle was closed
    def closed?
      @mutex.synchronize { @closed ? true : false }
    end

    # Yields the handle, and ends the session when the block is left.
    #
    # @api private
    def use
      left = false
      value = yield(self)
      left = true
      value
    ensure
      begin
        self.end
      rescue Error, UsageError
        # What the block raised matters more; the session expires by itself.
        raise if left
      end
    end

    # @return [String]
    def inspect
      "#<#{self.class.name} app=#{@app.inspect} id=#{@id.inspect}>"
    end

    private

    # Returns the request that opens the session.
    def request(function, inputs, request_id, expected_call_count)
      if function.respond_to?(:to_hash)
        inputs = [function, *inputs]
        function = nil
      end
      raise ArgumentError, "the input is given twice" if inputs.compact.size > 1

      Convert.run_request(
        app: @app, function:, input: inputs.compact.first, session: "new", session_timeout: @session_timeout,
        request_id:, expected_call_count:
      )
    end

    # Lets the request open the session, while others wait, or makes it one in the session that is open.
    def in_session(call, request)
      refuse_finished
      if @id.nil?
        @opening.turn(call) do
          next unless @id.nil?

          refuse_finished
          return yield.tap { |result| opened(result) }
        end
      end
      refuse_finished
      request.clear_session_timeout
      request.app = "#{@info.app}@#{@info.version}" if @info
      request.session = @id
      yield.tap { |result| show(result.session) }
    end

    def opened(result)
      closed = @mutex.synchronize do
        @id = result.session_id
        @info = result.session
        @closed
      end
      # The block was left while this call ran, and could not end what it did not know.
      return self.end if closed

      @renewer&.add([@id], result.session&.session_timeout, @sink)
      # Or it was left just now, and its end found nothing that was renewed.
      @renewer&.discard([@id], @sink) if closed?
    rescue Error, UsageError
      # The call has succeeded, and its result matters more; the session expires by itself.
      nil
    end

    def end_session(id)
      info = @sessions.end(id, timeout: @timeout || @runner.pacing.end_timeout)
      @mutex.synchronize do
        @info = info
        @ended = true
      end
    rescue SessionNotFoundError
      # Its record has been purged, so it was over long ago.
      @ended = true
    end

    # What comes late does not hide how the session ended.
    def show(info)
      @mutex.synchronize { @info = info || @info unless @ended }
    end

    # Knows a stream for as long as it is being read.
    def while_open(call, stream, &)
      @mutex.synchronize { @streams[stream] = true }
      call.holding(-> { @mutex.synchronize { @streams.delete(stream) } }, &)
    end

    def refuse_finished
      raise UsageError, "the session handle is closed" if closed?
      raise @lost.with_run_state(:not_started) if @lost
    end

    # News that was on its way when the handle was closed is nobody's.
    def hear(event)
      lost = @mutex.synchronize do
        next if @closed

        @info = event.session || @info
        @lost = event.error
      end
      @on_lost&.call(lost) if lost
    end
  end
end
