# frozen_string_literal: true

require "timeout"
require "raw_run"
require "answers"
require "stream_reader"

# What each command does. `prepare` looks up names, in the order of arrival; what it returns does the rest.
class Commands
  OPS = %w[
    connect close run cancel get keepalive end list get_app list_apps stream_open stream_next stream_close
    watch_open watch_next watch_close keepalive_open keepalive_next keepalive_close
    handle_open handle_call handle_lost handle_close raw_run
  ].freeze

  # A session handle, and where its loss is told.
  Handle = Struct.new(:session, :losses)

  # A watch that may still be opening.
  class OpeningWatch
    def initialize(&open)
      @thread = Thread.new(&open)
    end

    def value
      @thread.value
    end
  end

  def initialize
    @clients = {}
    @streams = {}
    @watches = {}
    @keepalives = {}
    @handles = {}
  end

  # Returns what does the command and gives its answer.
  def prepare(command, pending)
    send(:"prepare_#{command['op']}", command, pending)
  end

  def close_all
    @clients.each_value(&:close)
    @streams.each_value(&:close)
  end

  private

  def client(command)
    @clients.fetch(command["client"]) { raise ArgumentError, "there is no client #{command['client'].inspect}" }
  end

  def named(table, name)
    table.fetch(name) { raise ArgumentError, "there is no #{name.inspect}" }
  end

  def input(command)
    return if command["input"].nil?

    # NaN and infinities are let through here: it is the client that has to refuse them.
    JSON.parse(command["input"], max_nesting: 0, allow_nan: true)
  rescue JSON::ParserError
    raise ArgumentError, "the input is not JSON"
  end

  def run_fields(command)
    params = command.fetch("params", {}).transform_keys(&:to_sym)
    [params.delete(:app), { **params, input: input(command), timeout: command["timeout"] }]
  end

  def prepare_connect(command, _pending)
    tls = command["tls"]&.then { |files| { ca_file: files["ca"], cert_file: files["cert"], key_file: files["key"] } }
    # An empty key, so that the environment's is not taken.
    @clients[command["client"]] = SessionGateway::Client.new(
      address: command["address"], api_key: command["api_key"] || "", timeout: command["timeout"], tls: tls
    )
    -> { {} }
  end

  def prepare_close(command, _pending)
    closing = client(command)
    lambda do
      closing.close
      {}
    end
  end

  def prepare_run(command, pending)
    client = client(command)
    lambda do
      app, fields = run_fields(command)
      Answers.result(client.run(app, **fields, cancellation: pending.cancellation))
    end
  end

  %w[get keepalive end].each do |op|
    define_method(:"prepare_#{op}") do |command, pending|
      sessions = client(command).sessions
      lambda do
        info = sessions.public_send(
          op, command["session_id"], timeout: command["timeout"], cancellation: pending.cancellation
        )
        { session: Answers.session(info) }
      end
    end
  end

  def prepare_list(command, pending)
    sessions = client(command).sessions
    filter = command.slice("status", "app", "page_size").transform_keys(&:to_sym)
    -> { { sessions: sessions.list(**filter, cancellation: pending.cancellation).map { |each| Answers.session(each) } } }
  end

  def prepare_get_app(command, pending)
    apps = client(command).apps
    -> { { app: Answers.app(apps.get(command["app"], cancellation: pending.cancellation)) } }
  end

  def prepare_list_apps(command, pending)
    apps = client(command).apps
    page_size = command["page_size"]
    lambda do
      { apps: apps.list(page_size: page_size, cancellation: pending.cancellation).map { |each| each.to_h.slice(:name, :version) } }
    end
  end

  def prepare_stream_open(command, _pending)
    app, fields = run_fields(command)
    @streams[command["stream"]] = StreamReader.new(client(command).run_stream(app, **fields))
    -> { {} }
  end

  def prepare_stream_next(command, pending)
    stream = named(@streams, command["stream"])
    pending.cancel_step = -> { stream.close }
    -> { stream.next }
  end

  def prepare_stream_close(command, _pending)
    stream = named(@streams, command["stream"])
    lambda do
      stream.close
      {}
    end
  end

  def prepare_watch_open(command, _pending)
    sessions = client(command).sessions
    options = command.slice("resume_token", "app", "timeout").transform_keys(&:to_sym)
    opening = @watches[command["watch"]] = OpeningWatch.new { sessions.watch(**options) }
    lambda do
      opening.value
      {}
    end
  end

  def prepare_watch_next(command, pending)
    opening = named(@watches, command["watch"])
    pending.cancel_step = -> { interrupt(pending) }
    lambda do
      event = opening.value.next_event(timeout: command["timeout"])
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
    lambda do
      options = { timeout: command["timeout"], request_id: command["request_id"], cancellation: pending.cancellation }
      Answers.result(session.call(command["function"], input(command), **options))
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

  def prepare_raw_run(command, _pending)
    lambda do
      response = RawRun.call(command["address"], command["api_key"], command["request"].unpack1("m0"))
      { response: [response].pack("m0") }
    end
  end

  def interrupt(pending)
    pending.thread&.raise(SessionGateway::CancelledError.new("the step was cancelled", grpc_status: "CANCELLED"))
  end
end
