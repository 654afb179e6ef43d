# frozen_string_literal: true

require "socket"

# Stands between a client and a server, and can break their connections.
class Relay
  attr_reader :address

  def initialize(target)
    @host, @port = target.split(":")
    @listener = TCPServer.new("127.0.0.1", 0)
    @address = "127.0.0.1:#{@listener.local_address.ip_port}"
    @sockets = []
    @thread = Thread.new { accept }
  end

  # Breaks every connection that there is; new ones are let through.
  def cut
    sockets = @sockets.slice!(0..)
    # Closing alone would wait for the threads that read from them.
    sockets.each { |socket| socket.shutdown unless socket.closed? }
  rescue SystemCallError
    nil
  end

  def stop
    @thread.kill
    @listener.close
    cut
  end

  private

  def accept
    loop do
      near = @listener.accept
      far = TCPSocket.new(@host, @port)
      @sockets.push(near, far)
      Thread.new { copy(near, far) }
      Thread.new { copy(far, near) }
    end
  end

  def copy(from, to)
    IO.copy_stream(from, to)
  rescue IOError, SystemCallError
    nil
  ensure
    [from, to].each { |socket| socket.close unless socket.closed? }
  end
end
