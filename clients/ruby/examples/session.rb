#!/usr/bin/env ruby
# frozen_string_literal: true

# Plays with the example apps of a gateway that `make serve` has started. With the gem installed: ruby session.rb
# From the tree: ruby -I clients/ruby/lib clients/ruby/examples/session.rb

require "sessiongateway"

SessionGateway::Client.open(timeout: 60) do |client| # SGW_ADDRESS and SGW_API_KEY of the environment
  puts "deployed: #{client.apps.list.map { |app| "#{app.name}@#{app.version}" }.join(", ")}"

  # One worker for as long as the block: what the first call stores, the second one finds.
  client.session("kv", session_timeout: 300, keepalive: true) do |session|
    session.call("set_value", input: { key: "answer", value: 2**64 })
    puts "kv: #{session.call("get_value", input: { key: "answer" }).output["value"]}"
  end

  client.session("interpreter") do |session|
    session.call(input: { code: "total = sum(range(10))" })
    puts "interpreter: #{session.call(input: { code: "total + 1" }).output["result"]}"
    puts "sessions: #{client.sessions.list(status: :active).map { |info| "#{info.app} #{info.call_count}" }.join(", ")}"
  end

  sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6) SELECT i FROM n"
  result = client.run_stream("sql", function: "rows", input: { sql:, batch_rows: 2 }) do |batch|
    puts "sql: #{batch["rows"].flatten.join(" ")}"
  end
  puts "sql: #{result.output["row_count"]} rows"

  begin
    client.run("kv", function: "get_value", input: { key: 1 }, session: "new")
  rescue SessionGateway::InvalidInputError => e
    violations = e.field_violations.map { |each| "#{each.field}: #{each.description}" }
    puts "refused: #{violations.join("; ")} (#{e.run_state})"
  end
end
