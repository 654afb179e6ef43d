# frozen_string_literal: true

require "minitest/autorun"
require "timeout"
require "tmpdir"
require "sessiongateway"

# A test with a time limit. A thread that dies of an error makes its test fail, too.
class TestCase < Minitest::Test
  LIMIT = 60
  V1 = SessionGateway::V1

  # Not a StandardError, which the code under test might rescue.
  class TimeLimitExceeded < Exception # rubocop:disable Lint/InheritException
  end

  # Minitest runs setup, test and teardown in this; each has the limit.
  def capture_exceptions(&)
    super { Timeout.timeout(LIMIT, TimeLimitExceeded, "over the limit of #{LIMIT} s", &) }
  end

  # Waits until a block is true; the limit of the test is that of the wait. Only for what nothing announces.
  def wait_until
    sleep 0.005 until yield
  end

  # Runs a block on a thread, and gives what it raises when its value is asked for.
  def concurrently(&)
    Thread.new(&).tap { |thread| thread.report_on_exception = false }
  end

  # Returns the environment with some variables set, or removed, while a block runs.
  def with_env(changes)
    before = ENV.to_h
    ENV.update(changes)
    yield
  ensure
    ENV.replace(before)
  end

  # Waits that are short, without chance.
  def quick_pacing(**changes)
    short = SessionGateway::Backoff.new(initial: 0.001, maximum: 0.01, multiplier: 2)
    SessionGateway::Pacing.new(**{ random: -> { 0.0 }, drain: short, reconnect: short, **changes })
  end
end
