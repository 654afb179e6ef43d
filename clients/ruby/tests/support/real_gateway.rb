# frozen_string_literal: true

require "tmpdir"
require "fileutils"

# A gateway of its own, as `sgw serve` starts it, with the example apps.
class RealGateway
  TOP = File.expand_path("../../../..", __dir__)
  APPS = %w[kv interpreter sql].freeze

  attr_reader :address

  # With drain "keep" sessions outlive the gateway: who asks for that ends them.
  def initialize(drain: "end")
    @drain = drain
    @data_dir = Dir.mktmpdir("sessiongateway-ruby")
    start("127.0.0.1:0")
  end

  # Stops the gateway and starts it again on the same records and port.
  def restart(signal = "TERM")
    halt(signal)
    come_back
  end

  # Starts it again where it has been, after +halt+.
  def come_back
    start(@address)
  end

  # Ends the process and waits for that.
  def halt(signal)
    Process.kill(signal, @pid)
    Process.wait(@pid)
    @reader.kill.join
    @output.close
  end

  def stop
    halt("TERM")
    FileUtils.remove_entry(@data_dir)
  end

  private

  def start(listen)
    command = ENV.fetch("SGW_COMMAND", File.join(TOP, ".venv/bin/sgw"))
    apps = APPS.flat_map { |name| ["--app", "#{name}=#{TOP}/examples/#{name}"] }
    output, writer = IO.pipe
    # A gateway refuses a variable that is none of its settings.
    environment = ENV.keys.grep(/\ASGW_/).to_h { |name| [name, nil] }
    @pid = Process.spawn(
      environment, command, "serve", "--listen", listen, "--data-dir", @data_dir, "--log-level", "error",
      "--drain", @drain, *apps, out: writer
    )
    writer.close
    line = output.gets
    raise "the gateway did not start" if line.nil?

    @address = line[/\Alistening on (\S+)/, 1]
    @output = output
    # Whatever else it prints must not fill the pipe, whose other end its workers have, too.
    @reader = Thread.new { output.read }
  end
end
