# frozen_string_literal: true

module SessionGateway
  # When to ask about which session on a keepalive stream, and when an answer has failed to come. Keeps no time itself.
  #
  # All sessions are looked at only when one of them is due: what an answer or a new session costs does not depend on
  # how many there are.
  #
  # @api private
  class RenewalSchedule
    NEVER = Float::INFINITY
    # +timeout+, in seconds, is unknown before the first answer; +asked_at+ is nil before the session was
    # asked about on the present stream; +due+ is when to ask again.
    Entry = Struct.new(:timeout, :asked_at, :due)
    private_constant :NEVER, :Entry

    def initialize(pacing)
      @pacing = pacing
      @entries = {}
      # Those to be asked about at once.
      @fresh = {}
      # Since when an answer is awaited, by session, the oldest first.
      @awaited = {}
      # Nothing is due before, except those that are fresh.
      @earliest = NEVER
    end

    # Takes a session in, to be asked about at once, also if it is there already.
    def add(session_id, timeout)
      entry = (@entries[session_id] ||= Entry.new(nil, nil, NEVER))
      entry.timeout ||= timeout
      @fresh[session_id] = entry
    end

    def delete(session_id)
      [@entries, @fresh, @awaited].each { |sessions| sessions.delete(session_id) }
    end

    def empty?
      @entries.empty?
    end

    # Begins a new stream: all have to be asked about.
    def begin_anew
      @entries.each_value do |entry|
        entry.asked_at = nil
        entry.due = NEVER
      end
      @fresh = @entries.dup
      @awaited.clear
      @earliest = NEVER
    end

    # Returns the sessions to ask about now, and counts them as asked about.
    def take_due(now)
      taken = @fresh
      @fresh = {}
      taken = taken.merge(due(now)) if @earliest <= now
      random = @pacing.random.call
      taken.each do |session_id, entry|
        entry.asked_at = now
        @awaited[session_id] ||= now
        plan(entry, random)
      end
      taken.keys
    end

    # Notes an answer with the timeout that the session has; nil if it does not say.
    #
    # @return [Boolean] whether the next moment has come nearer
    def answered(session_id, timeout)
      entry = @entries[session_id]
      return false if entry.nil?

      before = next_moment
      @awaited.delete(session_id)
      known = entry.timeout
      entry.timeout = timeout || known || 0
      plan(entry, @pacing.random.call) unless entry.timeout == known || entry.asked_at.nil?
      next_moment < before
    end

    # @return [Boolean] whether an answer has failed to come
    def overdue?(now)
      reply_moment <= now
    end

    # @return [Float] when to look again; infinity if only news from the gateway can change anything
    def next_moment
      @fresh.empty? ? [@earliest, reply_moment].min : -NEVER
    end

    private

    def reply_moment
      since = @awaited.first&.last
      since.nil? ? NEVER : since + @pacing.reply_timeout
    end

    # A timeout of zero says nothing: the session is asked about again after a while.
    def plan(entry, random)
      entry.due =
        if entry.timeout.nil?
          NEVER
        elsif entry.timeout.positive?
          @pacing.renewal_due(entry.asked_at, entry.timeout, random)
        else
          entry.asked_at + @pacing.reply_timeout
        end
      @earliest = [@earliest, entry.due].min
    end

    # Who is due soon comes along, so that sessions which began together stay in one message.
    def due(now)
      @earliest = @entries.each_value.map(&:due).min || NEVER
      return {} if @earliest > now

      taken, left = @entries.partition { |_, entry| entry.due <= now + ((entry.timeout || 0) / 30.0) }
      @earliest = left.map { |_, entry| entry.due }.min || NEVER
      taken.to_h
    end
  end
end
