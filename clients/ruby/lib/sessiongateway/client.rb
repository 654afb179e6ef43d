# frozen_string_literal: true

require "set"
require "sessiongateway/cancellation"
require "sessiongateway/keepalive_stream"
require "sessiongateway/pacing"
require "sessiongateway/resources"
require "sessiongateway/session"

module SessionGateway
  # A client of Session Gateway. May be used by any number of threads, but not carried across a fork.
  #
  #   SessionGateway::Client.open(address: "127.0.0.1:50151") do |client|
  #     puts client.run("kv", function: "keys").output
  #   end
  class Client
    DEFAULT_ADDRESS = "127.0.0.1:50151"

    # @return [Sessions] reads, watches, renews and ends sessions
    attr_reader :sessions
    # @return [Apps] tells what is deployed
    attr_reader :apps

    # Yields a new client and closes it when the block is left. Takes what +new+ takes.
    def self.open(...)
      client = new(...)
      begin
        yield client
      ensure
        client.close
      end
    end

    # Remembers the settings; the connection is made with the first request.
    #
    # @param address [String, nil] HOST:PORT; dns:///HOST:PORT or ipv4:ADDRESS:PORT,ADDRESS:PORT, among which calls go
    #   round; nil: the environment's SGW_ADDRESS, else 127.0.0.1:50151
    # @param api_key [String, nil] sent with every request; nil: the environment's SGW_API_KEY, if there is one
    # @param timeout [Numeric, nil] seconds that a request may take with all its attempts, where it does not say itself;
    #   nil: as long as it takes
    # @param tls [Boolean, Hash, nil] true: TLS with the certificates that gRPC trusts; a Hash: +ca_file+ and, for mTLS,
    #   +cert_file+ and +key_file+, paths of PEM files; nil: plain text
    # @param credentials [GRPC::Core::ChannelCredentials, nil] instead of +tls+, for all else that gRPC can do
    # @param pacing [Pacing] waits between attempts
    # @param logger [Logger, nil] is told, as debug lines, what is tried again, and warned of callbacks that fail
    # @raise [ArgumentError, TypeError] the address, the API key, the timeout or the TLS settings cannot be used
    def initialize(
      address: nil, api_key: nil, timeout: nil, tls: nil, credentials: nil, pacing: Pacing.new, logger: nil
    )
      raise ArgumentError, "tls and credentials exclude each other" if tls && credentials

      @transport = Transport.new(
        address || setting("SGW_ADDRESS") || DEFAULT_ADDRESS, api_key || setting("SGW_API_KEY"),
        credentials || ChannelSettings.credentials(tls), pacing, logger
      )
      @runner = Runner.new(@transport, Convert.timeout(timeout))
      @renewer = Renewer.new(@transport)
      @streams = Set.new.compare_by_identity
      @sessions = Sessions.new(@transport, timeout, @streams)
      @apps = Apps.new(@transport, timeout)
    end

    # Calls a function of an app, and returns its answer.
    #
    # A run is sent again only when the gateway answers that it took nothing: it is shutting down, or its store is not
    # there. It is never sent again because a connection broke: see Error#run_state. Timeout.timeout, Thread#raise and
    # Ctrl-C cancel the run on the gateway, too.
    #
    # @param app [String] "name" or "name@version"
    # @param function [String, Symbol, nil] which function; nil: the default one
    # @param input [Hash, nil] a JSON object
    # @param session [String, nil] "new" or a session id; nil: a plain call
    # @param session_timeout [Integer, nil] whole seconds, 1 to 3600, with "new" only; nil: 60
    # @param worker_id [String, nil]
    # @param request_id [String, nil] idempotency key
    # @param expected_call_count [Integer, nil] how many calls the session must have had
    # @param timeout [Numeric, nil] seconds for all of it, overriding the client's
    # @param cancellation [Cancellation, nil]
    # @return [RunResult]
    # @raise [ArgumentError, TypeError] an argument cannot be sent. Nothing was sent
    # @raise [Error] the run failed; its class says how, its +run_state+ whether it was applied
    def run(app, timeout: nil, cancellation: nil, **fields)
      request = run_request(app, **fields)
      @runner.call(timeout, cancellation) { |call| @runner.run(call, request) }
    end

    # Calls a function of an app, and gives its partial outputs: to a block, and then returns the RunResult; without a
    # block as a RunStream, which sends nothing before it is read. Takes what +run+ takes; +timeout+ is for the whole
    # stream, from the moment at which reading begins.
    #
    # @yieldparam output [Hash]
    # @return [RunResult, RunStream]
    # @raise what +run+ raises; the run is sent again under the same rule, before the first output only
    def run_stream(app, timeout: nil, cancellation: nil, **fields, &block)
      request = run_request(app, **fields)
      stream = RunStream.new(@runner, timeout, cancellation) { |call, &sink| @runner.stream(call, request, &sink) }
      block ? stream.each(&block).result : stream
    end

    # Makes a handle of a new session, which opens with its first call. With a block the handle is yielded, and the
    # session ends when the block is left; without one, Session#end ends it.
    #
    # @param app [String] "name" or "name@version"
    # @param session_timeout [Integer, nil] the idle timeout in whole seconds, 1 to 3600; nil: 60
    # @param keepalive [Boolean] renew the session by itself for as long as the handle lives
    # @param timeout [Numeric, nil] seconds for each of its requests, where a call does not say itself
    # @param on_lost [#call, nil] called once, with the Error that says why, when keepalive finds that the session is
    #   gone. Runs on a thread of the client's and must not block
    # @return [Session, Object] the handle, or what the block returns
    def session(app, session_timeout: nil, keepalive: false, timeout: nil, on_lost: nil, &block)
      session = Session.new(
        app, runner: @runner, sessions: @sessions, renewer: keepalive ? @renewer : nil,
             session_timeout:, timeout:, on_lost:
      )
      block ? session.use(&block) : session
    end

    # Renews sessions, each at a third of its timeout, until the stream is closed; all such renewals of a client share
    # one stream to the gateway. With a block the stream is yielded, and closed when the block is left.
    #
    # @param session_ids [Array<String>]
    # @return [KeepaliveStream, Object] the stream, or what the block returns
    # @raise [UsageError] the client is closed
    def keepalive(*session_ids)
      stream = KeepaliveStream.new(@renewer, session_ids.flatten) { |closed| @streams.delete(closed) }
      @streams.add(stream)
      stream.open
      return stream unless block_given?

      begin
        yield stream
      ensure
        stream.close
      end
    end

    # Stops every renewal, cancels what is under way and closes the connection. May be called twice.
    #
    # @return [void]
    def close
      @streams.to_a.each(&:close)
      @renewer.close
      @transport.close
    end

    # @return [String] the address, never the key
    def inspect
      "#<#{self.class.name} address=#{@transport.address.inspect}>"
    end

    private

    # A variable that is empty is one that is not set.
    def setting(name)
      value = ENV.fetch(name, "")
      value.empty? ? nil : value
    end

    def run_request(
      app, function: nil, input: nil, session: nil, session_timeout: nil, worker_id: nil, request_id: nil,
      expected_call_count: nil
    )
      Convert.run_request(
        app:, function:, input:, session:, session_timeout:,
        worker_id:, request_id:, expected_call_count:
      )
    end
  end
end
