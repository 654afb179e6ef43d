# frozen_string_literal: true

require "grpc"
require "ipaddr"
require "json"
require "sessiongateway/version"

module SessionGateway
  # How a channel to a gateway is set up.
  #
  # @api private
  module ChannelSettings
    MAX_ANSWER = 64 * 1024 * 1024
    RETRIED = %w[GetSession ListSessions Keepalive EndSession].freeze

    # Run and the streams are absent on purpose: gRPC cannot know whether a run was applied when its connection broke,
    # and a broken stream is opened again with its own backoff.
    SERVICE_CONFIG = {
      methodConfig: [
        {
          name: RETRIED.map { |rpc| { service: "sessiongateway.v1.SessionService", method: rpc } } +
            [{ service: "sessiongateway.v1.AppService" }],
          timeout: "120s",
          retryPolicy: {
            maxAttempts: 4, initialBackoff: "0.1s", maxBackoff: "2s", backoffMultiplier: 2,
            retryableStatusCodes: ["UNAVAILABLE"]
          }
        }
      ]
    }.freeze

    # For names that may stand for several gateways calls go round among all that they stand for. A plain HOST:PORT is
    # one gateway, and one connection, which is cheaper where the gateway has several processes.
    ROUND_ROBIN = {
      "grpc.service_config" => JSON.generate(SERVICE_CONFIG.merge(loadBalancingConfig: [{ round_robin: {} }]))
    }.freeze
    SEVERAL = %w[dns: ipv4: ipv6:].freeze

    COMMON = {
      "grpc.max_receive_message_length" => MAX_ANSWER,
      "grpc.max_send_message_length" => -1,
      "grpc.primary_user_agent" => "sessiongateway-ruby/#{VERSION}",
      "grpc.service_config" => JSON.generate(SERVICE_CONFIG),
      # Channels with the same settings would share one connection, and closing one client would not close its own.
      "grpc.use_local_subchannel_pool" => 1,
      # A gateway that was restarted should be found again within seconds; gRPC's own limit is two minutes.
      "grpc.initial_reconnect_backoff_ms" => 100,
      "grpc.min_reconnect_backoff_ms" => 1_000,
      "grpc.max_reconnect_backoff_ms" => 2_000,
      # Finds a host that vanished during a long run. Servers refuse pings that come more often than every 5 minutes.
      "grpc.keepalive_time_ms" => 330_000,
      "grpc.keepalive_timeout_ms" => 20_000
    }.freeze

    # Names of gRPC's own may be spelt like a URL, such as dns:///HOST:PORT.
    URL = %r{\A(?!dns:|unix:|xds:).*://}m

    class << self
      # @raise [ArgumentError] no gateway can be there
      def check_address(address)
        if address.match?(URL)
          raise ArgumentError, "the address of a gateway is HOST:PORT, not a URL: #{address.inspect}"
        end
        return if address.include?(":")

        raise ArgumentError, "the address must be HOST:PORT, not #{address.inspect}"
      end

      # Returns a channel that connects when it is first used.
      #
      # @param credentials [GRPC::Core::ChannelCredentials, nil] nil: plain text
      def channel(address, credentials)
        settings = loopback?(address) ? COMMON.merge("grpc.enable_http_proxy" => 0) : COMMON
        settings = settings.merge(ROUND_ROBIN) if address.start_with?(*SEVERAL)
        GRPC::Core::Channel.new(address, settings, credentials || :this_channel_is_insecure)
      end

      # Returns the headers of every request.
      #
      # @raise [ArgumentError] the key holds what cannot be sent
      def metadata(api_key)
        return {}.freeze if api_key.nil? || api_key.empty?
        return { "authorization" => "Bearer #{api_key}" }.freeze if api_key.match?(/\A[\x20-\x7e]+\z/n)

        # gRPC would refuse it too, but with the key in its message.
        raise ArgumentError, "the API key holds characters that cannot be sent; is there a line break at its end?"
      end

      # Returns credentials for true (the certificates that gRPC trusts) or a Hash of files in PEM.
      #
      # @raise [ArgumentError, SystemCallError] a setting is unknown or half missing, or a file cannot be read
      def credentials(tls)
        return if tls.nil? || tls == false
        return GRPC::Core::ChannelCredentials.new if tls == true

        pem_credentials(**tls)
      end

      private

      def pem_credentials(ca_file: nil, cert_file: nil, key_file: nil)
        raise ArgumentError, "tls needs cert_file and key_file together" if cert_file.nil? != key_file.nil?

        GRPC::Core::ChannelCredentials.new(*[ca_file, key_file, cert_file].map { |path| path && File.read(path) })
      end

      def loopback?(address)
        return true if address.start_with?("unix:", "unix-abstract:")

        host = address.delete_prefix("dns:").delete_prefix("///").rpartition(":").first.delete("[]")
        host == "localhost" || IPAddr.new(host).loopback?
      rescue IPAddr::Error
        false
      end
    end
  end
end
