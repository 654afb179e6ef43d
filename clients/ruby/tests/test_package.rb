# frozen_string_literal: true

require "open3"
require "support/gateway_case"

# The gem, the example and the executor, as people and the conformance suite start them.
class TestPackage < GatewayCase
  HERE = File.expand_path("..", __dir__)

  def run_program(*command, env: {}, input: "")
    output, status = Open3.capture2e(env, *command, stdin_data: input, chdir: HERE)

    assert_predicate status, :success?, output
    output
  end

  def test_the_gem_installs_and_works_without_the_tree
    Dir.mktmpdir do |dir|
      gem = File.join(dir, "client.gem")
      run_program("gem", "build", "--silent", "--output", gem, "sessiongateway.gemspec")
      env = { "GEM_HOME" => dir, "GEM_PATH" => [dir, *Gem.path].join(":"), "RUBYLIB" => nil }
      run_program("gem", "install", "--local", "--no-document", gem, env:)
      program = 'require "sessiongateway"; puts $LOADED_FEATURES.grep(/sessiongateway.client/);' \
                "puts SessionGateway::Client.open { |client| client.run('kv', function: 'keys').output }"
      output = run_program("ruby", "-e", program, env: { **env, "SGW_ADDRESS" => gateway.address })

      assert_includes output, File.join(dir, "gems", "sessiongateway-#{SessionGateway::VERSION}")
      assert_includes output, '"keys"'
      installed = Dir[File.join(dir, "gems", "sessiongateway-*", "{LICENSE,README.md,examples/*}")]

      assert_equal %w[LICENSE README.md session.rb], installed.map { |path| File.basename(path) }.sort
    end
  end

  def test_the_example_runs
    output = run_program("ruby", "-Ilib", "examples/session.rb", env: { "SGW_ADDRESS" => gateway.address })

    assert_includes output, "kv: #{2**64}"
    assert_includes output, "interpreter: 46"
    assert_includes output, "sql: 6 rows"
    assert_includes output, "refused: input.key"
  end

  def test_the_executor_answers_each_command_once_and_ends_with_its_input
    commands = [
      { id: 1, op: "connect", client: "c", address: gateway.address },
      { id: 2, op: "run", client: "c", params: { app: "kv" }, input: '{"n": 9007199254740993}' },
      { id: 3, op: "run", client: "c", params: { app: "kv" }, input: '{"n": NaN}' },
      { id: 4, op: "run", client: "c", params: { app: "nobody" } },
      { id: 5, op: "fly" },
      { id: 6, op: "raw_run", address: gateway.address, request: "" }
    ]
    lines = commands.map { |command| JSON.generate(command) }
    answers = converse(lines)

    assert_equal (1..6).to_a, answers.keys.sort
    assert_includes answers[2]["ok"]["output"], "9007199254740993"
    codes = [3, 4, 5, 6].map { |id| answers[id]["error"]["code"] }

    assert_equal %w[USAGE APP_NOT_FOUND UNSUPPORTED_COMMAND INVALID_REQUEST], codes
    assert_equal %w[AppNotFoundError not_started NOT_FOUND],
                 answers[4]["error"].values_at("class", "run_state", "grpc_status")
  end

  private

  # Sends commands to the executor, waits for as many answers, and closes its input.
  def converse(lines)
    Open3.popen2(File.join(HERE, "conformance")) do |input, output, thread|
      input.puts(lines)
      answers = Array.new(lines.size) { JSON.parse(output.gets) }
      input.close

      assert_nil output.gets
      assert_predicate thread.value, :success?
      answers.to_h { |answer| [answer["id"], answer] }
    end
  end
end
