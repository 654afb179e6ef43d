# frozen_string_literal: true

require "sessiongateway/error_decoder"

module SessionGateway
  # One request of a caller with all its attempts: the time that it has, and what may end it early.
  #
  # @api private
  class Call
    # Seconds before the deadline at which a server may already have seen it pass: timers are not exact.
    LATE = 0.05

    # +timeout+ in seconds counts from now on; nil never ends.
    #
    # @raise [TypeError, ArgumentError] it is no number of seconds
    def initialize(pacing, timeout, run: false)
      Convert.timeout(timeout)
      @pacing = pacing
      @run = run
      @moment = timeout && (pacing.now + timeout)
      @mutex = Mutex.new
      @changed = ConditionVariable.new
      @operation = nil
      @stopped = nil
      @releases = {}.compare_by_identity
      @lent = false
    end

    # @return [Boolean] whether it is a run, whose errors say whether it was applied
    def run?
      @run
    end

    # @return [Float, nil] seconds left, below 0 when the time is over; nil if there is no end
    def remaining
      @moment && (@moment - @pacing.now)
    end

    # @return [Time, nil] the deadline as gRPC wants it
    def deadline
      @moment && (Time.now + remaining)
    end

    # Ends the request from any thread; only the first reason counts.
    def stop(message)
      operation, releases = @mutex.synchronize do
        @stopped ||= message
        @changed.broadcast
        [@operation, @lent ? @releases.keys : []]
      end
      operation&.cancel
      releases.each(&:call)
    end

    # Gives something back when the block is left; or before, when the request is stopped while its reader has a part of
    # the answer in its hands: that may be the fiber of an Enumerator, which nobody has to resume.
    #
    # @param release [#call] gives it back; may be called twice
    def holding(release)
      @mutex.synchronize { @releases[release] = true }
      yield
    ensure
      @mutex.synchronize { @releases.delete(release) }
      release.call
    end

    # Yields while the reader has a part of the answer in its hands. Nothing is read of a request that was stopped.
    #
    # @raise [CancelledError] it was stopped
    def lend
      raise stop_error(maybe_sent) unless @mutex.synchronize { @lent = @stopped.nil? }

      yield
      raise stop_error(maybe_sent) if stopped?
    ensure
      @mutex.synchronize { @lent = false }
    end

    # @return [Boolean] whether something has ended it early
    def stopped?
      @mutex.synchronize { !@stopped.nil? }
    end

    # @return [Boolean] whether the status of what is being sent is there. The reader of a stream that sends, too, is
    #   shown a good end only when there is nothing more to send
    def answered?
      !@mutex.synchronize { @operation }&.status.nil?
    end

    # Raises what a request that was stopped, or has no time left, means before it is sent (again).
    #
    # @raise [CancelledError, DeadlineExceededError]
    def check
      raise stop_error(not_sent) if stopped?
      return unless (left = remaining) && left <= 0

      raise DeadlineExceededError.new("the time given is over", **late_fields(not_sent))
    end

    # Lets time pass, or less if a block becomes true before. Who changes what it looks at calls +wake+ afterwards.
    #
    # @raise [CancelledError, DeadlineExceededError] the request is over
    def pause(seconds, &over)
      await(@pacing.now + seconds, &(over || -> { false }))
      check
    end

    # Waits until the block is true. Who changes what it looks at calls +wake+ afterwards.
    #
    # @raise [CancelledError, DeadlineExceededError] the request was over before
    def wait_until(&)
      check until await(@moment, &)
    end

    # Lets +wait_until+ and +pause+ look again.
    def wake
      @mutex.synchronize { @changed.broadcast }
    end

    # Sends an operation with one answer, and returns that.
    #
    # @param operation [GRPC::ActiveCall::Operation]
    # @raise [Error] the RPC failed
    def execute(operation)
      guard(operation, -> { true }) { operation.execute }
    end

    # Sends an operation and yields each message of its answer. Leaving the block early cancels it.
    #
    # @param operation [GRPC::ActiveCall::Operation]
    # @raise [Error] the RPC failed
    def each(operation)
      reading = true
      stop = nil
      guard(operation, -> { reading }) do
        operation.execute.each do |message|
          reading = false
          yield message
          reading = true
        rescue StopIteration => e
          # gRPC reads in a `loop`, which would take it for its own and wait for the status.
          break stop = e
        end
        raise stop if stop
      end
    end

    private

    # Returns whether the block became true before the moment came or the request was stopped.
    def await(moment)
      @mutex.synchronize do
        until (done = yield) || @stopped
          left = moment && (moment - @pacing.now)
          break if left && left <= 0

          @changed.wait(@mutex, left)
        end
        done
      end
    end

    def not_sent
      @run ? :not_started : nil
    end

    # What the caller's own code raises while it has a message in its hands is not a status of this operation.
    def guard(operation, reading)
      register(operation)
      yield
    rescue GRPC::BadStatus => e
      raise unless reading.call

      raise stopped? ? stop_error(maybe_sent) : ErrorDecoder.from_status(e, run: @run, late: late?), cause: nil
    rescue GRPC::Core::CallError => e
      raise unless reading.call

      # gRPC loses the status that it has itself made when a stream ends so before its first answer.
      raise stopped? ? stop_error(maybe_sent) : lost_status(e), cause: nil
    ensure
      @mutex.synchronize { @operation = nil }
      operation.cancel
    end

    def register(operation)
      stopped = @mutex.synchronize do
        @operation = operation
        @stopped
      end
      raise stop_error(not_sent) if stopped
    end

    def late?
      !@moment.nil? && remaining <= LATE
    end

    def maybe_sent
      @run ? :unknown : nil
    end

    def stop_error(run_state)
      CancelledError.new(@mutex.synchronize { @stopped }, run_state:, grpc_status: "CANCELLED")
    end

    def lost_status(error)
      return DeadlineExceededError.new("the time given is over", **late_fields(maybe_sent)) if late?

      ErrorDecoder.from_transport("UNAVAILABLE", "the connection broke: #{error.message}", run_state: maybe_sent)
    end

    def late_fields(run_state)
      { run_state:, grpc_status: "DEADLINE_EXCEEDED" }
    end
  end
end
