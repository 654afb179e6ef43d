# frozen_string_literal: true

require "json"

module SessionGateway
  # JSON as it travels: integers of any size stay exact, and what JSON does not have is refused, not bent.
  #
  # @api private
  module JSONText
    class << self
      # Returns an object as UTF-8 JSON text.
      #
      # @raise [TypeError] it is no Hash, or holds what JSON does not have
      # @raise [ArgumentError] it holds NaN, an infinity, or text that is not Unicode, or is nested too deeply
      def encode(object)
        return JSON.generate(plain_hash(object), max_nesting: 0) if object.respond_to?(:to_hash)

        raise TypeError, "the input must be a JSON object (a Hash), not #{object.class}"
      rescue SystemStackError
        raise ArgumentError, "the input is nested too deeply", cause: nil
      rescue JSON::GeneratorError, EncodingError => e
        raise ArgumentError, "the input cannot be sent as JSON: #{e.message.scrub}", cause: nil
      end

      # Returns what JSON text says.
      #
      # @raise [ArgumentError] it is not JSON, or nested too deeply
      def decode(text)
        JSON.parse(text.dup.force_encoding(Encoding::UTF_8), max_nesting: 0, create_additions: false)
      rescue SystemStackError
        raise ArgumentError, "it is nested too deeply", cause: nil
      rescue JSON::ParserError
        raise ArgumentError, "it is not JSON", cause: nil
      end

      private

      # The generator would write any object as the string that to_s gives, which no caller wants to find in an app.
      def plain(value)
        case value
        when nil, true, false, Integer, String then value
        when Symbol then value.name
        when Float then finite(value)
        when Array then value.map { |each| plain(each) }
        else plain_hash(value)
        end
      end

      def plain_hash(value)
        raise TypeError, "a value of type #{value.class} cannot be sent as JSON" unless value.respond_to?(:to_hash)

        value.to_hash.to_h { |key, each| [name(key), plain(each)] }
      end

      def name(key)
        return key.to_s if key.is_a?(String) || key.is_a?(Symbol)

        raise TypeError, "the keys of a JSON object are strings, not #{key.class}"
      end

      def finite(value)
        value.finite? ? value : raise(ArgumentError, "the input holds #{value}, which JSON does not have")
      end
    end
  end
end
