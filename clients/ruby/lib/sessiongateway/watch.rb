# frozen_string_literal: true

require "sessiongateway/transport"

module SessionGateway
  # Tells what happens to the caller's sessions, until it is closed. Made by Sessions#watch, which waits until the watch
  # stands.
  #
  # When the connection breaks or the gateway stops, it is opened again behind the last event that was read, as often as
  # it takes: nothing is left out and nothing comes twice. Hardly anything is read ahead: whoever reads slowly falls
  # behind at the gateway, which keeps events for as long as it keeps finished sessions.
  #
  # An error ends a step, not the watch: reading on tries again behind the same event. Readers on several threads share
  # the events: each goes to one of them.
  class Watch
    include Enumerable

    # @api private
    def initialize(transport, resume_token:, app:, &on_close)
      @transport = transport
      @pacing = transport.pacing
      @app = app
      @on_close = on_close
      @resume_token = @position = resume_token
      @mutex = Mutex.new
      @changed = ConditionVariable.new
      @standing = false
    end

    # @return [String] continues behind the last event that was read. Good after a restart of this program, too
    def resume_token
      @mutex.synchronize { @resume_token }
    end

    # Yields each event until the watch is closed.
    #
    # @yieldparam event [WatchEvent]
    # @return [Watch, Enumerator]
    # @raise what +next_event+ raises
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
    # @param cancellation [Cancellation, nil] ends the wait, not the watch, and loses no event
    # @return [WatchEvent, nil] nil if nothing came in that time, or if the watch is closed
    # @raise [InvalidRequestError] the gateway refuses the token: it is too old, or another's
    # @raise [CancelledError] the wait was cancelled
    # @raise [Error] it refuses the watch
    def next_event(timeout: nil, cancellation: nil)
      wait(timeout, cancellation) { @event && take }
    end

    # Watches no longer; what was not read is dropped, and a reader that waits in another thread gets nil. May be called
    # twice.
    #
    # @return [void]
    def close
      call, thread = @mutex.synchronize do
        @closed = true
        @event = @behind = nil
        @changed.broadcast
        [@call, @thread]
      end
      call&.stop("the watch was closed")
      thread&.join
      @on_close.call(self)
    end

    # @return [Boolean] whether it was closed
    def closed?
      @mutex.synchronize { @closed ? true : false }
    end

    # Waits until the watch stands, or raises why it does not.
    #
    # @api private
    def open(timeout, cancellation)
      return self if wait(Convert.timeout(timeout), cancellation) { @standing }

      raise CancelledError, "the watch was closed before it stood" if closed?

      message = "the watch did not stand in the time given"
      raise DeadlineExceededError.new(message, grpc_status: "DEADLINE_EXCEEDED")
    end

    private

    # Returns what the block gives; nil if that was nothing before the time was over or the watch closed.
    def wait(timeout, cancellation, &)
      moment = timeout && (@pacing.now + timeout)
      return await(moment, cancellation, &) if cancellation.nil?

      look_again = -> { @mutex.synchronize { @changed.broadcast } }
      begin
        cancellation.tell(look_again)
        await(moment, cancellation, &)
      ensure
        cancellation.forget(look_again)
      end
    end

    def await(moment, cancellation)
      @mutex.synchronize do
        until @closed
          raise CancelledError.new("the wait was cancelled", grpc_status: "CANCELLED") if cancellation&.cancelled?

          found = yield
          return found if found
          raise take_failure if @failure

          start
          left = moment && (moment - @pacing.now)
          break if left && left <= 0

          @changed.wait(@mutex, [left, quiet_left].compact.min)
        end
      end
      nil
    end

    # Returns the seconds after which the gateway has been silent for too long. Only a reader that waits cares.
    def quiet_left
      left = @heard_at + @pacing.watch_timeout - @pacing.now
      return left if left.positive?

      @heard_at = @pacing.now
      @silent = true
      @call&.stop("no word from the gateway in time")
      @pacing.watch_timeout
    end

    def take_failure
      @failure.tap { @failure = nil }
    end

    def take
      event = @event
      @resume_token = @behind || event.resume_token
      @event = @behind = nil
      @changed.broadcast
      event
    end

    def start
      return if @thread

      @heard_at = @pacing.now
      @thread = Thread.new { run }
      @thread.name = "sessiongateway-watch"
    end

    def run
      @attempt = 0
      failure = nil
      until closed?
        failure = read_stream
        break unless hopeful?(failure)

        seconds = [@pacing.reconnect.delay(@attempt, @pacing.random.call), failure.retry_after || 0.0].max
        @transport.log { "watch: a new stream in #{seconds.round(2)} s: #{failure.message}" }
        pause(seconds)
        @attempt += 1
      end
      give_up(failure)
    rescue UsageError
      give_up(CancelledError.new("the client is closed"))
    rescue StandardError => e
      # Whatever it was, the reader must hear of it.
      give_up(e)
    end

    # Reads one stream until it breaks, and returns why.
    def read_stream
      @transport.call do |call|
        adopt(call)
        request = V1::WatchSessionsRequest.new(resume_token: @position, app: @app)
        @transport.stream(call, :watch_sessions, request) { |message| hear(message) }
      end
      ErrorDecoder.from_transport("UNAVAILABLE", "the gateway closed the stream", run_state: nil)
    rescue Error => e
      e
    end

    def adopt(call)
      closed = @mutex.synchronize do
        @call = call
        @closed
      end
      call.stop("the watch was closed") if closed
    end

    def hopeful?(failure)
      return false if ErrorDecoder::FINAL_STATUSES.include?(failure.grpc_status)
      return @silent.tap { @silent = false } || false if failure.is_a?(CancelledError)
      return true if @standing

      told_to_wait = failure.is_a?(GatewayDrainingError) || failure.is_a?(StoreUnavailableError)
      told_to_wait && @attempt + 1 < @pacing.drain_attempts
    end

    def pause(seconds)
      moment = @pacing.now + seconds
      @mutex.synchronize do
        while !@closed && (left = moment - @pacing.now).positive?
          @changed.wait(@mutex, left)
        end
      end
    end

    def give_up(failure)
      @mutex.synchronize do
        @failure = failure
        @position = @behind || @event&.resume_token || @resume_token
        @thread = nil
        @changed.broadcast
      end
    end

    def hear(message)
      @mutex.synchronize do
        @standing = true
        @attempt = 0
        @heard_at = @pacing.now
        @position = message.resume_token
        message.event == :SESSION_EVENT_WATCHING ? note : show(Convert.watch_event(message))
        @changed.broadcast
      end
    end

    # A position without an event. It becomes the reader's own once all before it was read.
    def note
      @event ? @behind = @position : @resume_token = @position
    end

    # Waits until the event before this one was read: so the gateway learns that its reader is slow.
    def show(event)
      @changed.wait(@mutex) while @event && !@closed
      return if @closed

      @event = event
      @heard_at = @pacing.now
    end
  end
end
