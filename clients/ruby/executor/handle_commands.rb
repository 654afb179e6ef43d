# frozen_string_literal: true

require "timeout"

# Commands on session handles.
module HandleCommands
  # A session handle, and where its loss is told.
  Handle = Struct.new(:session, :losses)

  private

  def prepare_handle_open(command, _pending)
    losses = Thread::Queue.new
    session = client(command).session(
      command["app"], session_timeout: command["session_timeout"], keepalive: command["keepalive"] || false,
                      on_lost: ->(error) { losses << error }
    )
    @handles[command["handle"]] = Handle.new(session, losses)
    -> { {} }
  end

  def prepare_handle_call(command, pending)
    session = named(@handles, command["handle"]).session
    input = input(command)
    lambda do
      options = { timeout: command["timeout"], request_id: command["request_id"], cancellation: pending.cancellation }
      Answers.result(session.call(command["function"], input:, **options))
    end
  end

  def prepare_handle_lost(command, pending)
    handle = named(@handles, command["handle"])
    pending.cancel_step = -> { interrupt(pending) }
    lambda do
      error = Timeout.timeout(command["timeout"]) { handle.losses.pop }
      # For who asks again.
      handle.losses << error
      { error: Answers.error(error) }
    rescue Timeout::Error
      { timeout: true }
    end
  end

  def prepare_handle_close(command, _pending)
    handle = named(@handles, command["handle"])
    -> { { session: Answers.session(handle.session.end) } }
  end
end
