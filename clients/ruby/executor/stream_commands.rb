# frozen_string_literal: true

require "stream_reader"

# Commands on what tells one thing after another: streamed runs, watches, keepalive streams.
module StreamCommands
  # A watch that may still be opening.
  class OpeningWatch
    def initialize(&)
      @thread = Thread.new(&)
    end

    def value
      @thread.value
    end
  end

  private

  def prepare_stream_open(command, _pending)
    app, fields = run_fields(command)
    @streams[command["stream"]] = StreamReader.new(client(command).run_stream(app, **fields))
    -> { {} }
  end

  def prepare_stream_next(command, pending)
    stream = named(@streams, command["stream"])
    pending.cancel_step = -> { stream.cancel }
    -> { stream.next }
  end

  def prepare_stream_close(command, _pending)
    stream = named(@streams, command["stream"])
    lambda do
      stream.close
      {}
    end
  end

  def prepare_watch_open(command, pending)
    sessions = client(command).sessions
    options = command.slice("resume_token", "app", "timeout").transform_keys(&:to_sym)
    opening = @watches[command["watch"]] = OpeningWatch.new do
      sessions.watch(**options, cancellation: pending.cancellation)
    end
    lambda do
      opening.value
      {}
    end
  end

  def prepare_watch_next(command, pending)
    opening = named(@watches, command["watch"])
    lambda do
      event = opening.value.next_event(timeout: command["timeout"], cancellation: pending.cancellation)
      next { timeout: true } if event.nil?

      { event: event.event, session: Answers.session(event.session), resume_token: event.resume_token }
    end
  end

  def prepare_watch_close(command, _pending)
    opening = named(@watches, command["watch"])
    lambda do
      opening.value.close
      { resume_token: opening.value.resume_token }
    end
  end

  def prepare_keepalive_open(command, _pending)
    @keepalives[command["stream"]] = client(command).keepalive(command["session_ids"])
    -> { {} }
  end

  def prepare_keepalive_next(command, pending)
    stream = named(@keepalives, command["stream"])
    pending.cancel_step = -> { interrupt(pending) }
    lambda do
      event = stream.next_event(timeout: command["timeout"])
      next Answers.keepalive(event) if event

      stream.finished? ? { end: true } : { timeout: true }
    end
  end

  def prepare_keepalive_close(command, _pending)
    stream = named(@keepalives, command["stream"])
    lambda do
      stream.close
      {}
    end
  end
end
