#include "sessiongateway/resources.h"

#include <utility>

#include "convert.h"
#include "core.h"
#include "utf8.h"
#include "watch_state.h"

namespace sessiongateway {

namespace {

using SessionStub = v1::SessionService::Stub;
using AppStub = v1::AppService::Stub;

template <class Request, class Response>
SessionInfo ask_about(detail::Core& core,
                      grpc::Status (SessionStub::*method)(grpc::ClientContext*, const Request&, Response*),
                      const std::string& session_id, const CallOptions& options) {
  Request request;
  request.set_session_id(detail::utf8(session_id, "session_id"));
  const auto response = core.transport->send(method, request, core.deadline(options.timeout), options.stop);
  return detail::session_info(response.session());
}

}  // namespace

SessionInfo Sessions::get(const std::string& session_id, const CallOptions& options) const {
  return ask_about(*core_, &SessionStub::GetSession, session_id, options);
}

SessionInfo Sessions::keepalive(const std::string& session_id, const CallOptions& options) const {
  return ask_about(*core_, &SessionStub::Keepalive, session_id, options);
}

SessionInfo Sessions::end(const std::string& session_id, const CallOptions& options) const {
  return ask_about(*core_, &SessionStub::EndSession, session_id, options);
}

Pages<SessionInfo> Sessions::list(SessionFilter filter, CallOptions options) const {
  return Pages<SessionInfo>(
      [core = core_, filter = std::move(filter), options = std::move(options)](const auto& token) {
        v1::ListSessionsRequest request;
        request.set_page_size(filter.page_size);
        request.set_page_token(token);
        request.set_app(detail::utf8(filter.app, "app"));
        if (filter.status) request.set_status(static_cast<v1::SessionStatus>(*filter.status));
        const auto response =
            core->transport->send(&SessionStub::ListSessions, request, core->deadline(options.timeout), options.stop);
        Pages<SessionInfo>::Page page{.items = {}, .next_token = response.next_page_token()};
        for (const auto& each : response.sessions()) page.items.push_back(detail::session_info(each));
        return page;
      });
}

WatchStream Sessions::watch(WatchParams params, const CallOptions& options) const {
  detail::utf8(params.app, "app");
  detail::utf8(params.resume_token, "resume_token");
  auto state = std::make_shared<detail::WatchState>(core_, std::move(params));
  state->open(options);
  return WatchStream(std::move(state));
}

AppInfo Apps::get(const std::string& app, const CallOptions& options) const {
  v1::GetAppRequest request;
  request.set_app(detail::utf8(app, "app"));
  const auto response =
      core_->transport->send(&AppStub::GetApp, request, core_->deadline(options.timeout), options.stop);
  return detail::app_info(response.app());
}

Pages<AppInfo> Apps::list(int page_size, CallOptions options) const {
  return Pages<AppInfo>([core = core_, page_size, options = std::move(options)](const auto& token) {
    v1::ListAppsRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    const auto response =
        core->transport->send(&AppStub::ListApps, request, core->deadline(options.timeout), options.stop);
    Pages<AppInfo>::Page page{.items = {}, .next_token = response.next_page_token()};
    for (const auto& each : response.apps()) page.items.push_back(detail::app_info(each));
    return page;
  });
}

}  // namespace sessiongateway
