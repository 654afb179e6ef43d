# frozen_string_literal: true

require "sessiongateway/version"
require "sessiongateway/client"

# The client of Session Gateway: sessions that lease one worker process to one caller. Begin with Client.
module SessionGateway
end
