#include "channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "sessiongateway/errors.h"

namespace sessiongateway::detail {

// Run and the streams are absent on purpose: gRPC cannot know whether a run was applied when its connection broke, and
// a broken stream is opened again with its own backoff.
const char* const kServiceConfig = R"({
  "methodConfig": [{
    "name": [
      {"service": "sessiongateway.v1.SessionService", "method": "GetSession"},
      {"service": "sessiongateway.v1.SessionService", "method": "ListSessions"},
      {"service": "sessiongateway.v1.SessionService", "method": "Keepalive"},
      {"service": "sessiongateway.v1.SessionService", "method": "EndSession"},
      {"service": "sessiongateway.v1.AppService"}
    ],
    "timeout": "120s",
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.1s",
      "maxBackoff": "2s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
})";

namespace {

constexpr const char* kDefaultAddress = "127.0.0.1:50151";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Names of gRPC's own may be spelt like one, such as dns:///HOST:PORT.
bool is_url(std::string_view address) {
  if (address.find("://") == std::string_view::npos) return false;
  return std::ranges::none_of(std::array{"dns:", "unix:", "xds:"},
                              [&](const char* each) { return address.starts_with(each); });
}

bool is_loopback(const std::string& address) {
  if (address.starts_with("unix:") || address.starts_with("unix-abstract:")) return true;
  std::string host = address.substr(0, address.rfind(':'));
  if (host.starts_with("dns:")) host.erase(0, host.find_first_not_of('/', 4));
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

// For names that may stand for several gateways calls go round among all that they stand for. A plain HOST:PORT is one
// gateway, and one connection, which is cheaper where the gateway has several processes.
std::string service_config_of(std::string_view address) {
  const bool several = std::ranges::any_of(std::array{"dns:", "ipv4:", "ipv6:"},
                                           [&](const char* each) { return address.starts_with(each); });
  std::string config = kServiceConfig;
  if (several) config.insert(1, R"("loadBalancingConfig": [{"round_robin": {}}],)");
  return config;
}

}  // namespace

std::string address_of(const ClientOptions& options) {
  std::string address = options.address.empty() ? environment("SGW_ADDRESS") : options.address;
  if (address.empty()) address = kDefaultAddress;
  if (is_url(address)) throw UsageError("the address of a gateway is HOST:PORT, not a URL: \"" + address + "\"");
  if (address.find(':') == std::string::npos) {
    throw UsageError("the address of the gateway must be HOST:PORT, not \"" + address + "\"");
  }
  return address;
}

std::optional<std::string> authorization_of(const ClientOptions& options) {
  const std::string key = options.api_key ? *options.api_key : environment("SGW_API_KEY");
  if (key.empty()) return std::nullopt;
  // gRPC would refuse it too, but with a crash.
  if (!std::ranges::all_of(key, [](char each) { return each >= ' ' && each <= '~'; })) {
    throw UsageError("the API key holds characters that cannot be sent; is there a line break at its end?");
  }
  return "Bearer " + key;
}

std::shared_ptr<grpc::Channel> make_channel(const std::string& address, const std::optional<TlsOptions>& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswer);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetUserAgentPrefix("sessiongateway-cpp/" SESSIONGATEWAY_VERSION);
  arguments.SetServiceConfigJSON(service_config_of(address));
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A gateway that was restarted should be found again within seconds; gRPC's own limit is two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  // Finds a host that vanished during a long run. Servers refuse pings that come more often than every 5 minutes.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 330'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  if (is_loopback(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!tls) return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = tls->root_certificates;
  ssl.pem_private_key = tls->private_key;
  ssl.pem_cert_chain = tls->certificate_chain;
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(ssl), arguments);
}

}  // namespace sessiongateway::detail
