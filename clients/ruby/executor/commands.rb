# frozen_string_literal: true

require "raw_run"
require "answers"
require "stream_commands"
require "handle_commands"

# What each command does. `prepare` looks up names, in the order of arrival; what it returns does the rest.
class Commands
  OPS = %w[
    connect close run cancel get keepalive end list get_app list_apps stream_open stream_next stream_close
    watch_open watch_next watch_close keepalive_open keepalive_next keepalive_close
    handle_open handle_call handle_lost handle_close raw_run
  ].freeze

  include StreamCommands
  include HandleCommands

  def initialize
    @clients = {}
    @streams = {}
    @watches = {}
    @keepalives = {}
    @handles = {}
  end

  # Returns what does the command and gives its answer.
  def prepare(command, pending)
    send(:"prepare_#{command["op"]}", command, pending)
  end

  def close_all
    @clients.each_value(&:close)
    @streams.each_value(&:close)
  end

  private

  def client(command)
    @clients.fetch(command["client"]) { raise ArgumentError, "there is no client #{command["client"].inspect}" }
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
      address: command["address"], api_key: command["api_key"] || "", timeout: command["timeout"], tls:
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
    app, fields = run_fields(command)
    lambda do
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
    lambda do
      infos = sessions.list(**filter, cancellation: pending.cancellation)
      { sessions: infos.map { |info| Answers.session(info) } }
    end
  end

  def prepare_get_app(command, pending)
    apps = client(command).apps
    -> { { app: Answers.app(apps.get(command["app"], cancellation: pending.cancellation)) } }
  end

  def prepare_list_apps(command, pending)
    apps = client(command).apps
    page_size = command["page_size"]
    lambda do
      infos = apps.list(page_size:, cancellation: pending.cancellation)
      { apps: infos.map { |info| info.to_h.slice(:name, :version) } }
    end
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
