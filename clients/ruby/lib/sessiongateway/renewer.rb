# frozen_string_literal: true

require "sessiongateway/renewal_schedule"
require "sessiongateway/transport"

module SessionGateway
  # Keeps any number of sessions alive over one stream, opened again whenever it breaks.
  #
  # Each sink of a session is called, on a thread of the renewer's own, with every renewal, and once with the reason
  # when the session is lost; after that it is no longer renewed. Nothing runs while there is no session.
  #
  # @api private
  class Renewer
    IDS_PER_MESSAGE = 1000

    # The requests of a stream, as gRPC wants to iterate over them.
    Requests = Struct.new(:queue) do
      def each
        while (ids = queue.pop)
          yield V1::StreamKeepaliveRequest.new(session_ids: ids)
        end
      end
    end
    private_constant :Requests

    def initialize(transport)
      @transport = transport
      @pacing = transport.pacing
      @mutex = Mutex.new
      @changed = ConditionVariable.new
      @sinks = {}
      @schedule = RenewalSchedule.new(@pacing)
    end

    # Renews sessions from now on, at once for the first time.
    #
    # @param timeout [Integer, nil] theirs, if it is known
    # @param sink [#call] takes a KeepaliveEvent; must not block
    # @raise [UsageError] the client is closed
    def add(session_ids, timeout, sink)
      @mutex.synchronize do
        raise UsageError, "the client is closed" if @closed
        next if session_ids.empty?

        session_ids.each do |session_id|
          @sinks[session_id] = (@sinks[session_id] || []) | [sink]
          @schedule.add(session_id, timeout)
        end
        @changed.broadcast
        @thread ||= Thread.new { run }.tap { |thread| thread.name = "sessiongateway-keepalive" }
      end
    end

    # Lets a sink hear no more of sessions; one that has no sink left is not renewed any longer. One that is not there
    # is fine.
    def discard(session_ids, sink)
      @mutex.synchronize do
        session_ids.each do |session_id|
          left = (@sinks[session_id] || []) - [sink]
          left.empty? ? forget(session_id) : @sinks[session_id] = left
        end
        @changed.broadcast
      end
    end

    # Renews nothing any more, and closes the stream. May be called twice.
    def close
      thread = @mutex.synchronize do
        @closed = true
        @sinks.each_key { |session_id| forget(session_id) }
        @changed.broadcast
        # A callback that closes the client would wait for itself.
        @thread unless [@thread, @reader].include?(Thread.current)
      end
      thread&.join
    end

    private

    def forget(session_id)
      @schedule.delete(session_id)
      @sinks.delete(session_id)
    end

    def run
      attempt = 0
      while begin_stream
        failure = converse
        next if failure.nil?

        lose_all(failure) if ErrorDecoder::FINAL_STATUSES.include?(failure.grpc_status)
        attempt = @answered ? 0 : attempt + 1
        seconds = [failure.retry_after || 0.0, @pacing.reconnect.delay(attempt, @pacing.random.call)].max
        @transport.log { "keepalive: a new stream in #{seconds.round(2)} s: #{failure.message}" }
        pause(seconds)
      end
    rescue StandardError => e
      # Whatever it was, those who rely on the renewals must hear of it.
      @mutex.synchronize { @thread = nil }
      lose_all(Error.new("keepalive failed: #{e.message}", code: "KEEPALIVE_FAILED"))
    end

    # Returns whether there is anything to renew; if not, the thread is over.
    def begin_stream
      @mutex.synchronize do
        @broken = nil
        @answered = false
        @schedule.begin_anew
        @thread = nil if @schedule.empty?
        !@schedule.empty?
      end
    end

    # Uses one stream until nothing is left to renew, or until it breaks, and then returns why.
    def converse
      queue = Thread::Queue.new
      @transport.call do |call|
        reader = @reader = Thread.new { read(call, queue) }
        pace(call, queue)
      ensure
        call.stop("the keepalive stream was closed")
        queue.close
        reader&.join
      end
    end

    # Asks about each session when it is due. Returns what broke the stream, or nil when nothing is left.
    def pace(call, queue)
      @mutex.synchronize do
        until @broken || @schedule.empty?
          now = @pacing.now
          break @broken = broken("no answer in time") if @schedule.overdue?(now)
          break @broken = broken("the gateway closed the stream") if call.answered?

          @schedule.take_due(now).each_slice(IDS_PER_MESSAGE) { |ids| queue << ids }
          wait(@schedule.next_moment - now)
        end
        @broken
      end
    end

    def broken(message)
      ErrorDecoder.from_transport("UNAVAILABLE", message, run_state: nil)
    end

    def wait(seconds)
      @changed.wait(@mutex, seconds == Float::INFINITY ? nil : [seconds, 0.001].max)
    end

    def pause(seconds)
      moment = @pacing.now + seconds
      @mutex.synchronize do
        while !@schedule.empty? && (left = moment - @pacing.now).positive?
          @changed.wait(@mutex, left)
        end
      end
    end

    def read(call, queue)
      @transport.stream(call, :stream_keepalive, Requests.new(queue)) { |response| take(response) }
      break_off(broken("the gateway closed the stream"))
    rescue Error => e
      break_off(e)
    end

    def break_off(failure)
      @mutex.synchronize do
        @broken ||= failure
        @changed.broadcast
      end
    end

    def take(response)
      session_id = response.session_id
      session, error = decoded(response)
      sinks = @mutex.synchronize do
        @answered = true
        note(session_id, session, error)
      end
      tell(sinks, KeepaliveEvent.new(session_id:, session:, error:).freeze) if session || error
    end

    # Returns who is to hear of an answer. The thread that asks is woken only if there is something new for it: with
    # many sessions most answers change nothing.
    def note(session_id, session, error)
      hearers = @sinks[session_id]
      return [] if hearers.nil?

      if error.is_a?(StoreUnavailableError)
        # No session is lost, and none can be renewed: all are asked about again after a while.
        @broken ||= error
        hearers = []
      elsif error
        forget(session_id)
      else
        return hearers unless @schedule.answered(session_id, session&.session_timeout)
      end
      @changed.broadcast
      hearers
    end

    def decoded(response)
      case response.outcome
      when :session then [Convert.session_info(response.session), nil]
      when :error then [nil, ErrorDecoder.from_detail(response.error)]
      end
    end

    def lose_all(failure)
      lost = @mutex.synchronize do
        @sinks.dup.each_key { |session_id| forget(session_id) }
      end
      lost.each do |session_id, sinks|
        tell(sinks, KeepaliveEvent.new(session_id:, session: nil, error: failure).freeze)
      end
    end

    # What a callback of the caller's raises must not end the renewals of other sessions.
    def tell(sinks, event)
      sinks.each do |sink|
        sink.call(event)
      rescue StandardError => e
        @transport.complain("the callback of session #{event.session_id} failed: #{e.full_message(highlight: false)}")
      end
    end
  end
end
