# frozen_string_literal: true

# Runs all tests, or those in the files that are named.

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__), __dir__)
files = ARGV.reject { |argument| argument.start_with?("-") }.select { |argument| File.file?(argument) }
ARGV.reject! { |argument| files.include?(argument) }
files = Dir[File.join(__dir__, "**", "test_*.rb")] if files.empty?
files.each { |file| require File.expand_path(file) }
