# frozen_string_literal: true

require_relative "lib/sessiongateway/version"

Gem::Specification.new do |spec|
  spec.name = "sessiongateway"
  spec.version = SessionGateway::VERSION
  spec.summary = "Client of Session Gateway"
  spec.description = "Leases one worker process to one caller for as long as a session lasts."
  spec.authors = ["Session Gateway"]
  spec.homepage = "https://github.com/sessiongateway/sessiongateway"
  spec.license = "Apache-2.0"
  spec.metadata = { "rubygems_mfa_required" => "true" }
  spec.required_ruby_version = ">= 3.1"
  spec.files = Dir.chdir(__dir__) { Dir["lib/**/*.rb", "examples/*.rb", "README.md", "LICENSE"] }
  # The lower bounds are the versions that it is tested with, those of Debian 12. The stubs use a way to describe
  # messages that google-protobuf 4 has no longer.
  spec.add_runtime_dependency "googleapis-common-protos-types", "~> 1.4"
  spec.add_runtime_dependency "google-protobuf", ">= 3.21", "< 4"
  spec.add_runtime_dependency "grpc", "~> 1.51"
  spec.add_development_dependency "minitest", "~> 5.15"
end
