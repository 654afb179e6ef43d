// The connection to a gateway, as gRPC is told to make it.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <optional>
#include <string>

#include "sessiongateway/options.h"

namespace sessiongateway::detail {

/// The largest answer that is taken.
inline constexpr int kMaxAnswer = 64 * 1024 * 1024;

/// The address that holds: the one given, else SGW_ADDRESS, else the default.
/// \throws UsageError It is not HOST:PORT.
std::string address_of(const ClientOptions& options);

/// The value of the `authorization` header, if there is a key: the one given, else SGW_API_KEY.
/// \throws UsageError The key holds characters that cannot be sent.
std::optional<std::string> authorization_of(const ClientOptions& options);

/// A channel that connects with its first request.
std::shared_ptr<grpc::Channel> make_channel(const std::string& address, const std::optional<TlsOptions>& tls);

/// Which requests gRPC repeats by itself, as JSON.
extern const char* const kServiceConfig;

}  // namespace sessiongateway::detail
