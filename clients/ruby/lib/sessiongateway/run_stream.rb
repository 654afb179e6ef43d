# frozen_string_literal: true

require "sessiongateway/runner"

module SessionGateway
  # The partial outputs of one run, decoded from JSON, and at their end its result. Made by Client#run_stream and
  # Session#stream.
  #
  # The run is sent when reading begins, which can be done once. A reader that is slow slows the function. Leaving the
  # block of +each+ early (break, first(3), an exception) cancels the run on the gateway too, and so does +close+.
  #
  # +each+ without a block is an Enumerator whose +next+ reads step by step; it belongs to the thread that began it, and
  # has to be closed by +close+ if it is not read to its end.
  class RunStream
    include Enumerable

    # @api private
    # @yield [call, &sink] sends the run, gives the sink each partial output, and returns the RunResult
    def initialize(runner, timeout, cancellation, &source)
      @runner = runner
      @timeout = timeout
      @cancellation = cancellation
      @source = source
      @mutex = Mutex.new
      @state = :new
    end

    # Yields each partial output. Nothing more comes of a stream that has ended, failed or was closed.
    #
    # @yieldparam output [Hash]
    # @return [RunStream, Enumerator] self, or without a block an Enumerator
    # @raise [UsageError] another reader is at it
    # @raise [Error] what Client#run raises, also after outputs have come
    def each
      return to_enum unless block_given?
      return self unless begin_reading

      begin
        @runner.call(@timeout, @cancellation) do |call|
          adopt(call)
          @result = @source.call(call) do |output|
            yield output
            return self if closed?
          end
        end
        self
      ensure
        @mutex.synchronize { @state = :over }
      end
    end

    # @return [RunResult] the answer, as Client#run returns it
    # @raise [UsageError] the stream was not read to its end, or has failed
    def result
      @result || raise(UsageError, "the stream has no result: it was not read to its end, was closed, or failed")
    end

    # Passes over the partial outputs that are left, and returns the result.
    #
    # @return [RunResult]
    # @raise [UsageError] the stream was closed, or has failed before
    # @raise [Error] the run failed
    def finish
      each { |_| next }
      result
    end

    # Cancels the run unless it has ended; a step that waits meanwhile, in another thread, raises CancelledError. May be
    # called twice.
    #
    # @return [void]
    def close
      call = @mutex.synchronize do
        @closed = true
        @call
      end
      call&.stop("the stream was closed before its result")
    end

    # @return [Boolean] whether it was closed
    def closed?
      @mutex.synchronize { @closed ? true : false }
    end

    private

    def begin_reading
      @mutex.synchronize do
        return false if @state == :over || @closed
        raise UsageError, "the stream is being read already" if @state == :reading

        @state = :reading
      end
    end

    def adopt(call)
      closed = @mutex.synchronize do
        @call = call
        @closed
      end
      call.stop("the stream was closed before its result") if closed
    end
  end
end
