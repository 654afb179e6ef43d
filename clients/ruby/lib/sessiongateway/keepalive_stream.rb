# frozen_string_literal: true

require "sessiongateway/renewer"

module SessionGateway
  # Renews sessions until it is closed, and tells what happens to them. Made by Client#keepalive.
  #
  # Who reads more slowly than the sessions are renewed sees only the newest renewal of each; a loss is never skipped.
  # Readers on several threads share the events: each goes to one of them.
  class KeepaliveStream
    include Enumerable

    # @api private
    def initialize(renewer, session_ids, &on_close)
      @renewer = renewer
      @on_close = on_close
      @mutex = Mutex.new
      @changed = ConditionVariable.new
      @events = {}
      @live = session_ids.to_h { |session_id| [Convert.text(:session_ids, session_id), true] }
      @closed = false
      @sink = method(:put)
    end

    # Begins to renew. Apart from +new+, so that a client that is closed meanwhile has the stream in its list.
    #
    # @api private
    # @raise [UsageError] the client is closed
    def open
      session_ids = @mutex.synchronize { @live.keys }
      @renewer.add(session_ids, nil, @sink)
      @renewer.discard(session_ids, @sink) if @mutex.synchronize { @closed }
      self
    rescue UsageError
      close
      raise
    end

    # Yields each event until all sessions are lost or the stream is closed.
    #
    # @yieldparam event [KeepaliveEvent]
    # @return [KeepaliveStream, Enumerator]
    def each
      return to_enum unless block_given?

      while (event = next_event)
        yield event
      end
      self
    end

    # Waits for the next event.
    #
    # @param timeout [Numeric, nil] seconds to wait at most
    # @return [KeepaliveEvent, nil] nil if nothing came in that time, or if nothing will come any more
    def next_event(timeout: nil)
      moment = timeout && (now + timeout)
      @mutex.synchronize do
        while @events.empty? && !@live.empty?
          left = moment && (moment - now)
          break if left && left <= 0

          @changed.wait(@mutex, left)
        end
        @events.shift&.last
      end
    end

    # @return [Boolean] whether all sessions are lost and all of that was read, or the stream is closed
    def finished?
      @mutex.synchronize { @events.empty? && @live.empty? }
    end

    # Stops renewing, and drops what was not read; a reader that waits gets nil. May be called twice.
    #
    # @return [void]
    def close
      live = @mutex.synchronize do
        @closed = true
        @changed.broadcast
        @events.clear
        @live.keys.tap { @live.clear }
      end
      @renewer.discard(live, @sink)
      @on_close.call(self)
    end

    private

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    def put(event)
      @mutex.synchronize do
        next if @closed

        # Taken out first, so that it goes to the end: no session's news can keep back those of another.
        @events.delete(event.session_id)
        @events[event.session_id] = event
        @live.delete(event.session_id) if event.error
        @changed.broadcast
      end
    end
  end
end
