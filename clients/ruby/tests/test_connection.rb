# frozen_string_literal: true

require "openssl"
require "support/scripted_case"

# Keys, addresses and TLS.
class TestConnection < ScriptedCase
  def authorization
    @gateway.metadata.pop["authorization"]
  end

  def test_the_api_key_is_sent_as_a_bearer_token
    answer_runs
    SessionGateway::Client.open(address: @gateway.address, api_key: "k") { |client| client.run("kv") }

    assert_equal "Bearer k", authorization
  end

  def test_key_and_address_come_from_the_environment
    answer_runs
    with_env("SGW_ADDRESS" => @gateway.address, "SGW_API_KEY" => "from-env") do
      SessionGateway::Client.open { |client| client.run("kv") }
    end

    assert_equal "Bearer from-env", authorization
  end

  def test_the_default_address_is_loopback
    [nil, ""].each do |address|
      with_env("SGW_ADDRESS" => address) do
        assert_includes SessionGateway::Client.new.inspect, "127.0.0.1:50151"
      end
    end
  end

  def test_a_key_that_cannot_be_sent_is_refused_without_being_shown
    error = assert_raises(ArgumentError) { SessionGateway::Client.new(api_key: "secret\n") }

    refute_includes error.message, "secret"
    refute_includes SessionGateway::Client.new(api_key: "secret").inspect, "secret"
  end

  def test_an_address_without_a_port_is_refused
    assert_raises(ArgumentError) { SessionGateway::Client.new(address: "localhost") }
  end

  def test_a_url_is_refused
    ["http://127.0.0.1:50151", "HTTPS://gateway.example:443/", "grpc://gateway:1"].each do |address|
      error = assert_raises(ArgumentError) { SessionGateway::Client.new(address:) }

      assert_includes error.message, "the address of a gateway is HOST:PORT, not a URL"
    end
    ["dns:///gateway.example:1", "unix:///tmp/socket"].each do |address|
      assert_includes SessionGateway::Client.new(address:).inspect, address
    end
  end

  def test_tls_and_mtls
    Dir.mktmpdir do |dir|
      files = write_certificates(dir)
      [false, true].each do |mutual|
        gateway = ScriptedGateway.new(server_credentials(files, mutual))
        gateway.on(:run) { ScriptedGateway.run_response('{"a":1}') }
        assert_equal({ "a" => 1 }, run_over(gateway, files.slice(:ca_file, :cert_file, :key_file)))
        assert_raises(SessionGateway::UnavailableError) { run_over(gateway, nil) }
        assert_raises(SessionGateway::UnavailableError) { run_over(gateway, files.slice(:ca_file)) } if mutual
      ensure
        gateway&.stop
      end
    end
  end

  def test_half_of_a_certificate_is_refused
    assert_raises(ArgumentError) { SessionGateway::Client.new(tls: { cert_file: "x" }) }
    assert_raises(ArgumentError) { SessionGateway::Client.new(tls: { cert: "x" }) }
    assert_raises(SystemCallError) { SessionGateway::Client.new(tls: { ca_file: "/nowhere" }) }
  end

  private

  def run_over(gateway, tls)
    SessionGateway::Client.open(address: gateway.address, api_key: "", tls:, pacing: quick_pacing) do |client|
      client.run("kv").output
    end
  end

  def server_credentials(files, mutual)
    pair = { private_key: File.read(files[:key_file]), cert_chain: File.read(files[:cert_file]) }
    GRPC::Core::ServerCredentials.new(File.read(files[:ca_file]), [pair], mutual)
  end

  # One authority, and one certificate that server and client share.
  def write_certificates(dir)
    authority_key, key = Array.new(2) { OpenSSL::PKey::EC.generate("prime256v1") }
    authority = certificate("/CN=authority", authority_key, "basicConstraints" => "CA:TRUE")
    leaf = certificate("/CN=gateway", key, "subjectAltName" => "IP:127.0.0.1") { [authority.subject, authority_key] }
    { ca_file: authority.to_pem, cert_file: leaf.to_pem, key_file: key.to_pem }.to_h do |name, pem|
      path = File.join(dir, name.to_s)
      File.write(path, pem)
      [name, path]
    end
  end

  def certificate(name, key, extensions)
    made = OpenSSL::X509::Certificate.new
    made.version = 2
    made.serial = rand(1..(2**60))
    made.subject = OpenSSL::X509::Name.parse(name)
    made.not_before = Time.now - 60
    made.not_after = Time.now + 3600
    made.public_key = key
    made.issuer, issuer_key = block_given? ? yield : [made.subject, key]
    factory = OpenSSL::X509::ExtensionFactory.new
    extensions.each { |id, value| made.add_extension(factory.create_extension(id, value, id == "basicConstraints")) }
    made.sign(issuer_key, OpenSSL::Digest.new("SHA256"))
  end
end
