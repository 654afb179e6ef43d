# frozen_string_literal: true

require "sessiongateway"
require "commands"

# Reads commands, runs each on a thread of its own, and writes the answers as they come.
class Executor
  # A command that is under way: its thread, and what cancels it.
  Pending = Struct.new(:cancellation, :thread, :cancel_step)

  def initialize(input, output)
    @input = input
    @output = output
    @output.sync = true
    @writing = Mutex.new
    @commands = Commands.new
    @pending = {}
    @mutex = Mutex.new
  end

  # Returns at the end of input, after closing all.
  def run
    Thread.report_on_exception = false
    @input.set_encoding(Encoding::UTF_8)
    @input.each_line { |line| take(line) }
  ensure
    @commands.close_all
    @mutex.synchronize { @pending.values }.each { |pending| pending.thread&.join(5) }
  end

  private

  def take(line)
    command = parse(line)
    id = command["id"]
    return answer(id, error: { code: "UNSUPPORTED_COMMAND" }) unless Commands::OPS.include?(command["op"])
    return cancel(id, command["target"]) if command["op"] == "cancel"

    begin_command(id, command)
  end

  def parse(line)
    command = JSON.parse(line, max_nesting: 0)
    command.is_a?(Hash) ? command : {}
  rescue JSON::ParserError
    {}
  end

  # What a command looks up or makes by name is settled here, in the order in which commands arrive.
  def begin_command(id, command)
    pending = Pending.new(SessionGateway::Cancellation.new)
    work = @commands.prepare(command, pending)
    @mutex.synchronize { @pending[id] = pending }
    pending.thread = Thread.new { settle(id) { work.call } }
  rescue StandardError, SystemStackError => e
    answer(id, error: Answers.error(e))
  end

  def settle(id)
    result = { ok: yield }
  rescue StandardError, SystemStackError => e
    result = { error: Answers.error(e) }
  ensure
    # Under a lock, so that a command that is about to be cancelled is not answered twice.
    @mutex.synchronize { @pending.delete(id) }
    answer(id, **result) if result
  end

  def cancel(id, target)
    pending = @mutex.synchronize { @pending[target] }
    pending&.cancellation&.cancel
    pending&.cancel_step&.call
    answer(id, ok: {})
  end

  def answer(id, **result)
    line = JSON.generate({ id:, **result }, max_nesting: 0)
    @writing.synchronize { @output.write(line, "\n") }
  end
end
