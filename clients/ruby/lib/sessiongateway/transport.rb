# frozen_string_literal: true

require "sessiongateway/call"
require "sessiongateway/channel_settings"
require "sessiongateway/v1/apps_services_pb"
require "sessiongateway/v1/sessions_services_pb"

module SessionGateway
  # The connection to a gateway, and one request over it. May be used by any number of threads.
  #
  # @api private
  class Transport
    STATES = GRPC::Core::ConnectivityStates
    # Seconds after which a wait for the connection looks whether its caller still wants it: gRPC cannot be woken up.
    GLANCE = 0.1

    attr_reader :address, :pacing

    # Remembers where to connect; nothing is opened yet.
    #
    # @raise [ArgumentError] the address is no HOST:PORT, or the key holds what cannot be sent
    def initialize(address, api_key, credentials, pacing, logger = nil)
      ChannelSettings.check_address(address)
      @address = address
      @pacing = pacing
      @logger = logger
      @credentials = credentials
      @metadata = ChannelSettings.metadata(api_key)
      @mutex = Mutex.new
      @calls = {}.compare_by_identity
      @closed = false
    end

    # Yields a Call that ends when the caller cancels it or the client is closed.
    #
    # @raise [UsageError] the client is closed
    def call(timeout: nil, cancellation: nil, run: false)
      call = Call.new(@pacing, timeout, run:)
      call.holding(-> { @mutex.synchronize { @calls.delete(call) } }) do
        enter(call)
        next yield(call) if cancellation.nil?

        hook = -> { call.stop("the request was cancelled") }
        call.holding(-> { cancellation.forget(hook) }) do
          cancellation.tell(hook)
          yield call
        end
      end
    end

    # Sends a request that is safe to repeat.
    #
    # @raise [Error] it failed
    def ask(call, service, rpc, request)
      call.check
      call.execute(operation(call, service, rpc, request))
    end

    # Sends a run, once, and only over a connection that stands.
    #
    # @raise [Error] it failed; its run state is :not_started if it was never sent
    def run(call, request)
      connect(call)
      call.execute(operation(call, :sessions, :run, request))
    end

    # Sends a run that answers in parts, once, and only over a connection that stands, and yields the parts.
    #
    # @raise [Error] it failed; its run state is :not_started if it was never sent
    def run_stream(call, request, &)
      connect(call)
      call.each(operation(call, :sessions, :run_stream, request), &)
    end

    # Yields the messages of a stream. +request+ is one message, or responds to +each+ where many are sent.
    #
    # @raise [Error] it broke
    def stream(call, rpc, request, &)
      call.each(operation(call, :sessions, rpc, request), &)
    end

    # Tells what was tried again, if anybody wants to know. The block gives the text.
    def log(&)
      @logger&.debug("sessiongateway", &)
    end

    # Tells what its program should know.
    def complain(message)
      @logger ? @logger.warn("sessiongateway") { message } : warn("sessiongateway: #{message}")
    end

    # Ends what is under way and closes the connection. May be called twice.
    def close
      calls, channel = @mutex.synchronize do
        @closed = true
        [@calls.keys, @channel.tap { @channel = nil }]
      end
      calls.each { |each| each.stop("the client was closed during the request") }
      channel&.close
    end

    private

    def enter(call)
      @mutex.synchronize do
        raise UsageError, "the client is closed" if @closed

        @calls[call] = true
        next if @channel

        @channel = ChannelSettings.channel(@address, @credentials)
        @stubs = {
          sessions: V1::SessionService::Stub.new(@address, nil, channel_override: @channel),
          apps: V1::AppService::Stub.new(@address, nil, channel_override: @channel)
        }
      end
    end

    def operation(call, service, rpc, request)
      @stubs.fetch(service).public_send(rpc, request, return_op: true, deadline: call.deadline, metadata: @metadata)
    rescue RuntimeError
      # Of a channel that another thread has closed just now.
      call.check
      raise
    end

    # A run that fails without a connection can be told from one that was cut off only before it is sent.
    def connect(call)
      channel = @mutex.synchronize { @channel }
      state = look(call, channel)
      # A failure of the past says nothing about now. gRPC shows it until a later attempt has succeeded.
      patience = state == STATES::TRANSIENT_FAILURE ? @pacing.now + @pacing.connect_patience : @pacing.now
      until state == STATES::READY
        refuse(call) if state == STATES::TRANSIENT_FAILURE && over?(call, patience)
        call.check
        channel.watch_connectivity_state(state, Time.now + [GLANCE, call.remaining].compact.min)
        state = look(call, channel)
      end
    rescue RuntimeError
      call.check
      raise
    end

    def look(call, channel)
      call.check if channel.nil?
      channel.connectivity_state(true)
    end

    def over?(call, moment)
      @pacing.now >= moment || call.remaining&.<=(0)
    end

    def refuse(call)
      call.check if call.stopped?
      raise ErrorDecoder.from_transport("UNAVAILABLE", "no connection to #{@address}", run_state: :not_started)
    end
  end
end
