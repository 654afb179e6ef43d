# frozen_string_literal: true

module SessionGateway
  VERSION = "0.1.0"
end
