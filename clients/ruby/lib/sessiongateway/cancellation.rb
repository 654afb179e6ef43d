# frozen_string_literal: true

module SessionGateway
  # Cancels requests from another thread: give the same one to as many as shall end together.
  #
  #   cancellation = SessionGateway::Cancellation.new
  #   Signal.trap("TERM") { Thread.new { cancellation.cancel } }
  #   client.run("interpreter", input: { code: "..." }, cancellation: cancellation)   # raises CancelledError
  #
  # Timeout.timeout, Thread#raise and Ctrl-C end a request as well, and cancel it on the gateway.
  class Cancellation
    def initialize
      @mutex = Mutex.new
      @hooks = {}.compare_by_identity
      @cancelled = false
    end

    # Cancels what is under way, and whatever is still given this object. May be called twice, from any thread; not from
    # a signal handler, which may not take locks.
    #
    # @return [void]
    def cancel
      hooks = @mutex.synchronize do
        @cancelled = true
        @hooks.keys.tap { @hooks.clear }
      end
      hooks.each(&:call)
      nil
    end

    # @return [Boolean] whether it has been cancelled
    def cancelled?
      @mutex.synchronize { @cancelled }
    end

    # Calls a hook once this is cancelled, or at once if it is already.
    #
    # @api private
    def tell(hook)
      late = @mutex.synchronize do
        @hooks[hook] = true unless @cancelled
        @cancelled
      end
      hook.call if late
    end

    # Calls a hook no longer. One that is not there is fine.
    #
    # @api private
    def forget(hook)
      @mutex.synchronize { @hooks.delete(hook) }
    end
  end
end
