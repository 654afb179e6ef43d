# frozen_string_literal: true

require "sessiongateway/watch"

module SessionGateway
  # One request after another that is safe to repeat. gRPC repeats them when the gateway cannot be reached.
  #
  # @api private
  class Resource
    def initialize(transport, timeout)
      @transport = transport
      @timeout = timeout
    end

    private

    def ask(service, rpc, request, timeout, cancellation)
      @transport.call(timeout: timeout || @timeout, cancellation:) do |call|
        @transport.ask(call, service, rpc, request)
      end
    end

    # Returns an Enumerator over the items of all pages; each page is fetched when its first item is asked for.
    #
    # @yield [String] fetches the page of a token, and returns its items and the next token
    def pages
      Enumerator.new do |items|
        token = ""
        # No `loop`, which would take a StopIteration of the reader's for its own.
        until token.nil?
          # A page may be empty and still not be the last: a filter is applied after the page was cut.
          page, following = yield(token)
          page.each { |item| items << item }
          token = following.empty? ? nil : following
        end
      end
    end
  end

  # Reads, watches, renews and ends sessions: +client.sessions+. Every method raises Error if the request fails, and
  # takes +timeout+ (seconds, overriding the client's) and +cancellation+ (a Cancellation).
  class Sessions < Resource
    # @api private
    def initialize(transport, timeout, open_streams)
      super(transport, timeout)
      @open_streams = open_streams
    end

    # Returns a session as it is now, also a finished one. Does not extend its life.
    #
    # @return [SessionInfo]
    # @raise [SessionNotFoundError] there is none with this id
    def get(session_id, timeout: nil, cancellation: nil)
      single(:get_session, V1::GetSessionRequest, session_id, timeout, cancellation)
    end

    # Lets a session's timeout begin anew, and returns the session.
    #
    # @return [SessionInfo]
    # @raise [SessionNotFoundError] there is none with this id
    # @raise [SessionExpiredError] it was too late
    # @raise [SessionEndedError] it was ended
    def keepalive(session_id, timeout: nil, cancellation: nil)
      single(:keepalive, V1::KeepaliveRequest, session_id, timeout, cancellation)
    end

    # Ends a session, releases its worker at once, and returns the session. One that is finished stays as it is.
    #
    # @return [SessionInfo]
    # @raise [SessionNotFoundError] there is none with this id
    def end(session_id, timeout: nil, cancellation: nil)
      single(:end_session, V1::EndSessionRequest, session_id, timeout, cancellation)
    end

    # Returns an Enumerator over the caller's sessions, the newest first, over all pages; or yields them to a block.
    # Each page is fetched when it is needed, within +timeout+ seconds.
    #
    # @param status [Symbol, String, nil] only those that are :active, :ended or :expired
    # @param app [String, nil] only those of this app, "name" or "name@version"
    # @param page_size [Integer, nil] how many to fetch at a time, 1 to 1000
    # @return [Enumerator<SessionInfo>]
    # @raise [ArgumentError, TypeError] there is no such status, or an argument cannot be sent
    def list(status: nil, app: nil, page_size: nil, timeout: nil, cancellation: nil, &block)
      filter = {
        status: status.nil? ? 0 : Convert.session_status(status), app: app.nil? ? "" : Convert.text(:app, app),
        page_size: Convert.integer(:page_size, page_size || 0)
      }
      sessions = pages do |token|
        request = V1::ListSessionsRequest.new(page_token: token, **filter)
        response = ask(:sessions, :list_sessions, request, timeout, cancellation)
        [response.sessions.map { |each| Convert.session_info(each) }, response.next_page_token]
      end
      block ? sessions.each(&block) : sessions
    end

    # Watches what happens to the caller's sessions: each that begins, ends, expires or is lost. Waits until the watch
    # stands, so that a list that is read after that leaves no gap.
    #
    # With a block the watch is yielded, and closed when the block is left.
    #
    # @param resume_token [String, nil] that of the last event that was read, here or in another process: what has
    #   happened since comes first; nil: from now on
    # @param app [String, nil] only sessions of this app. A token is good for the same app only
    # @param timeout [Numeric, nil] seconds for the watch to stand
    # @param cancellation [Cancellation, nil] ends the wait for that; Watch#next_event takes one of its own
    # @return [Watch, Object] the watch, or what the block returns
    # @raise [InvalidRequestError] the gateway refuses the token or the app
    # @raise [Error] the gateway cannot be reached
    def watch(resume_token: nil, app: nil, timeout: nil, cancellation: nil)
      watch = Watch.new(
        @transport, resume_token: Convert.text(:resume_token, resume_token || ""), app: Convert.text(:app, app || "")
      ) { |closed| @open_streams.delete(closed) }
      @open_streams.add(watch)
      begin
        watch.open(timeout || @timeout, cancellation)
        return yield(watch) if block_given?

        opened = true
        watch
      ensure
        watch.close unless opened
      end
    end

    private

    def single(rpc, type, session_id, timeout, cancellation)
      request = type.new(session_id: Convert.text(:session_id, session_id))
      Convert.session_info(ask(:sessions, rpc, request, timeout, cancellation).session)
    end
  end

  # Tells what is deployed: +client.apps+. Every method raises Error if the request fails, and takes +timeout+ (seconds,
  # overriding the client's) and +cancellation+ (a Cancellation).
  class Apps < Resource
    # Describes one version of an app, with its functions and their schemas.
    #
    # @param app [String] "name" or "name@version"
    # @return [AppInfo]
    # @raise [AppNotFoundError] no app of this name is deployed
    # @raise [VersionNotFoundError] it is not deployed in this version
    # @raise [AppStartFailedError] its code cannot be imported
    def get(app, timeout: nil, cancellation: nil)
      request = V1::GetAppRequest.new(app: Convert.text(:app, app))
      Convert.app_info(ask(:apps, :get_app, request, timeout, cancellation).app)
    end

    # Returns an Enumerator over the deployed apps by name, over all pages, without their functions; or yields them to a
    # block.
    #
    # @param page_size [Integer, nil] how many to fetch at a time, 1 to 1000
    # @return [Enumerator<AppInfo>]
    def list(page_size: nil, timeout: nil, cancellation: nil, &block)
      page_size = Convert.integer(:page_size, page_size || 0)
      apps = pages do |token|
        request = V1::ListAppsRequest.new(page_token: token, page_size:)
        response = ask(:apps, :list_apps, request, timeout, cancellation)
        [response.apps.map { |each| Convert.app_info(each) }, response.next_page_token]
      end
      block ? apps.each(&block) : apps
    end
  end
end
