// What the client returns and throws, as the protocol writes it.
#pragma once

#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "sessiongateway/sessiongateway.h"

namespace executor {

using nlohmann::json;

json show(const sessiongateway::SessionInfo& session);
json show(const sessiongateway::RunResult& result);
json show(const sessiongateway::AppInfo& app, bool with_functions);
json show(const sessiongateway::Error& error);

/// Whatever a command has thrown.
json show(const std::exception_ptr& failure);

/// Null for an empty text.
json text_or_null(const std::string& text);

}  // namespace executor
