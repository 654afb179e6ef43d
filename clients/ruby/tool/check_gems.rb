# frozen_string_literal: true

# Exits with 0 if this Ruby has every gem that the gemspec names, in a version that it allows.

spec = Gem::Specification.load(File.expand_path("../sessiongateway.gemspec", __dir__))
abort "Ruby #{RUBY_VERSION} is too old" unless spec.required_ruby_version.satisfied_by?(Gem.ruby_version)
spec.dependencies.each { |dependency| gem dependency.name, dependency.requirement }
