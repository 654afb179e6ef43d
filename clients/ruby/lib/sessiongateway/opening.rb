# frozen_string_literal: true

module SessionGateway
  # How the calls of a session handle take turns until one of them has opened the session.
  #
  # @api private
  class Opening
    def initialize
      @mutex = Mutex.new
      @waiting = []
      @owner = nil
    end

    # Waits for the turn, in order of arrival, and keeps it while the block runs.
    #
    # A stream that opens the session keeps its turn while its reader is busy with an output. A call that this very
    # thread makes meanwhile would wait for ever, and is refused.
    #
    # A stream that is stopped meanwhile gives its turn back at once: nobody may read it any more.
    #
    # @yield with the turn; or without it, once there are none any more
    # @raise [UsageError] the calling thread reads a stream that has the turn
    # @raise [DeadlineExceededError, CancelledError] it did not come in time
    def turn(call)
      refuse_reader
      call.holding(-> { leave(call) }) do
        @mutex.synchronize { @waiting << call }
        call.wait_until { take_turn(call) }
        yield
      end
    end

    # Lets nobody wait any longer.
    def close
      waiting = @mutex.synchronize do
        @closed = true
        @waiting.dup
      end
      waiting.each(&:wake)
    end

    private

    def refuse_reader
      return unless @mutex.synchronize { @owner == Thread.current }

      raise UsageError, "the session is being opened by a stream: read it to its end, or close it, before the next call"
    end

    def take_turn(call)
      @mutex.synchronize do
        next true if @closed
        next false unless @owner.nil? && @waiting.first.equal?(call)

        @holder = @waiting.shift
        @owner = Thread.current
        true
      end
    end

    def leave(call)
      waiting = @mutex.synchronize do
        @waiting.delete_if { |each| each.equal?(call) }
        @owner = @holder = nil if @holder.equal?(call)
        @waiting.dup
      end
      waiting.each(&:wake)
    end
  end
end
