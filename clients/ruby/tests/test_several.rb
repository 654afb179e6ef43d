# frozen_string_literal: true

require "support/test_case"
require "support/real_gateway"

# Several gateways behind one address. Each has records of its own, so that its sessions tell which calls came to it.
class TestSeveral < TestCase
  def setup
    @gateways = []
    @clients = []
    3.times { @gateways << RealGateway.new }
    addresses = @gateways.map(&:address)
    @clients = ["ipv4:#{addresses.join(",")}", *addresses].map { |each| SessionGateway::Client.new(address: each) }
    @all, *@single = @clients
  end

  def teardown
    @clients.each(&:close)
    @gateways.each(&:stop)
  end

  def test_calls_go_round_among_them_and_go_on_when_one_dies
    open until opened.min.positive?
    before = opened
    9.times { open }

    assert_equal(before.map { |count| count + 3 }, opened)
    @gateways[1].halt("KILL")
    # One call can have been on its way to the gateway that died.
    assert_operator calls_that_fail(12), :<=, 1
    @gateways[1].come_back
    first = opened[1]
    open while opened[1] == first
  end

  private

  def open
    @all.run("kv", function: "keys", session: "new")
  end

  def opened
    @single.map { |client| client.sessions.list.count }
  end

  def calls_that_fail(number)
    Array.new(number) do
      assert_equal "kv", @all.apps.get("kv").name
      open
      0
    rescue SessionGateway::UnavailableError
      1
    end.sum
  end
end
