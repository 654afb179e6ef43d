# frozen_string_literal: true

module SessionGateway
  # Waiting times that grow: +initial+ seconds, then +multiplier+ times more with each attempt, up to +maximum+.
  Backoff = Struct.new(:initial, :maximum, :multiplier, keyword_init: true) do
    # Returns the wait after attempt 0, 1, ...: between half and all of its step, as +random+ (0 to 1) says.
    def delay(attempt, random)
      # The exponent is bounded because a stream may reconnect for weeks, and a float does overflow.
      step = [maximum, initial * (multiplier**[attempt, 64].min)].min
      step * (0.5 + (random / 2.0))
    end
  end

  # Every wait that the client takes by itself. The defaults suit programs; tests bring their own.
  #
  # - +random+: gives a number from 0 to 1; spreads the waits of many clients
  # - +clock+: gives seconds since some moment, and never goes back
  # - +drain_attempts+: how often a run is sent at most, when the gateway takes nothing at the moment
  # - +drain+: between these, if the gateway does not ask for more
  # - +reconnect+: before a broken stream is opened again; its maximum is far below the usual session timeout of 60 s
  # - +reply_timeout+: seconds without an answer after which a keepalive stream counts as broken: a host that vanished
  #   says nothing
  # - +watch_timeout+: seconds of silence after which a watch counts as broken: a gateway speaks every 30 s at least
  # - +connect_patience+: seconds for a connection that had failed before the call began to come back
  # - +end_timeout+: seconds that leaving a session's block may take to end it, if the handle has no timeout of its own
  Pacing = Struct.new(
    :random, :clock, :drain_attempts, :drain, :reconnect, :reply_timeout, :watch_timeout, :connect_patience,
    :end_timeout,
    keyword_init: true
  ) do
    def initialize(
      random: -> { rand },
      clock: -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) },
      drain_attempts: 4,
      drain: Backoff.new(initial: 0.2, maximum: 5.0, multiplier: 2),
      reconnect: Backoff.new(initial: 0.1, maximum: 5.0, multiplier: 2),
      reply_timeout: 10.0,
      watch_timeout: 100.0,
      connect_patience: 2.5,
      end_timeout: 10.0
    )
      super
      freeze
    end

    # @return [Float] seconds since some moment
    def now
      clock.call
    end

    # Returns when a session is due again that was asked about at a moment: after a third of its timeout, or up to a
    # fifth sooner, as +random+ (0 to 1) says, so that the renewals of many clients do not come together.
    def renewal_due(asked_at, timeout, random)
      asked_at + (timeout / 3.0 * (1 - (0.2 * random)))
    end
  end
end
