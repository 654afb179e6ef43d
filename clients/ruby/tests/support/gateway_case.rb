# frozen_string_literal: true

require "support/test_case"
require "support/real_gateway"

# A test with a real gateway, which all such tests share.
class GatewayCase < TestCase
  SHARED = Struct.new(:gateway).new
  private_constant :SHARED

  def self.shared_gateway
    SHARED.gateway ||= RealGateway.new.tap { |made| Minitest.after_run { made.stop } }
  end

  attr_reader :client, :gateway

  def setup
    @gateway = self.class.shared_gateway
    @client = SessionGateway::Client.new(address: @gateway.address, api_key: "")
  end

  def teardown
    @client&.close
  end

  # Runs code in the interpreter app.
  def code(text)
    { code: text }
  end
end
