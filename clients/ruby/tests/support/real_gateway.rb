# frozen_string_literal: true

require "tmpdir"
require "fileutils"

# A gateway of its own, as `sgw serve` starts it, with the example apps.
class RealGateway
  TOP = File.expand_path("../../../..", __dir__)
  APPS = %w[kv interpreter sql].freeze

  attr_reader :address

  def initialize
    @data_dir = Dir.mktmpdir("sessiongateway-ruby")
    start("127.0.0.1:0")
  end

  # Stops the gateway and starts it again on the same records and port.
  def restart(signal = "TERM")
    halt(signal)
    start(@address)
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
    @pid = Process.spawn(
      command, "serve", "--listen", listen, "--data-dir", @data_dir, "--log-level", "error", *apps, out: writer
    )
    writer.close
    line = output.gets
    raise "the gateway did not start" if line.nil?

    @address = line[/\Alistening on (\S+)/, 1]
    # Whatever else it prints must not fill the pipe.
    @reader = Thread.new { output.read }
  end

  def halt(signal)
    Process.kill(signal, @pid)
    Process.wait(@pid)
    @reader.join
  end
end
