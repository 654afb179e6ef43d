# frozen_string_literal: true

# The keepalive streams of a scripted gateway: what was asked on which, and what the test lets them say.
class KeepaliveScript
  V1 = SessionGateway::V1

  # One stream: `asked` has the ids of each message; what is put into `answers` goes back, until that is closed.
  Stream = Struct.new(:asked, :answers) do
    def say(session_id, **outcome)
      answers << V1::StreamKeepaliveResponse.new(session_id:, **outcome)
    end
  end

  attr_reader :streams

  # With `timeout` each question is answered by a session that has so many seconds.
  def initialize(gateway, timeout: nil)
    @timeout = timeout
    @streams = Thread::Queue.new
    gateway.on(:stream_keepalive) do |requests, _|
      stream = Stream.new(Thread::Queue.new, Thread::Queue.new)
      @streams << stream
      Thread.new { hear(requests, stream) }
      Enumerator.new do |out|
        while (answer = stream.answers.pop)
          raise answer if answer.is_a?(Exception)

          out << answer
        end
      end
    end
  end

  private

  def hear(requests, stream)
    requests.each do |request|
      ids = request.session_ids.to_a
      stream.asked << ids
      ids.each { |id| stream.say(id, session: ScriptedGateway.session(id, session_timeout: @timeout)) } if @timeout
    end
  rescue GRPC::Core::CallError, ClosedQueueError
    nil
  ensure
    stream.answers.close
  end
end
