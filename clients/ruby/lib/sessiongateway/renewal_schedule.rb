# frozen_string_literal: true

module SessionGateway
  # When to ask about which session on a keepalive stream, and when an answer has failed to come. Keeps no time itself.
  #
  # @api private
  class RenewalSchedule
    # +timeout+, in seconds, is unknown before the first answer; +asked_at+ is nil before the session was
    # asked about on the present stream; +waiting_since+ is nil when nothing is left unanswered.
    Entry = Struct.new(:timeout, :asked_at, :waiting_since, :due)
    private_constant :Entry

    def initialize(pacing)
      @pacing = pacing
      @entries = {}
    end

    # Takes a session in, to be asked about at once, also if it is there already.
    def add(session_id, timeout)
      entry = (@entries[session_id] ||= Entry.new)
      entry.timeout ||= timeout
      entry.due = -Float::INFINITY
    end

    def delete(session_id)
      @entries.delete(session_id)
    end

    def empty?
      @entries.empty?
    end

    # Begins a new stream: all have to be asked about.
    def begin_anew
      @entries.each_value do |entry|
        entry.asked_at = entry.waiting_since = nil
        entry.due = -Float::INFINITY
      end
    end

    # Returns the sessions to ask about now, and counts them as asked about.
    def take_due(now)
      # Who is due soon comes along, so that sessions which began together stay in one message.
      due = @entries.select { |_, entry| entry.due <= now }
      due = @entries.select { |_, entry| entry.due <= now + ((entry.timeout || 0) / 30.0) } unless due.empty?
      random = @pacing.random.call
      due.each_value do |entry|
        entry.asked_at = now
        entry.waiting_since ||= now
        entry.due = entry.timeout ? @pacing.renewal_due(now, entry.timeout, random) : Float::INFINITY
      end
      due.keys
    end

    # Notes an answer with the timeout that the session has.
    def answered(session_id, timeout)
      entry = @entries[session_id]
      return if entry.nil?

      entry.waiting_since = nil
      known = entry.timeout == timeout
      entry.timeout = timeout
      entry.due = @pacing.renewal_due(entry.asked_at, timeout, @pacing.random.call) unless known || entry.asked_at.nil?
    end

    # @return [Boolean] whether an answer has failed to come
    def overdue?(now)
      since = waiting_since
      !since.nil? && since + @pacing.reply_timeout <= now
    end

    # @return [Float] when to look again; infinity if only news from the gateway can change anything
    def next_moment
      [*@entries.each_value.map(&:due), (waiting_since || Float::INFINITY) + @pacing.reply_timeout].min
    end

    private

    def waiting_since
      @entries.each_value.filter_map(&:waiting_since).min
    end
  end
end
