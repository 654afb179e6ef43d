// A run over the generated stub alone, and what its status says.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace executor {

/// A status, read without the client's help.
class RawError : public std::runtime_error {
 public:
  explicit RawError(nlohmann::json fields)
      : std::runtime_error(fields.value("message", "")), fields_(std::move(fields)) {}
  const nlohmann::json& fields() const { return fields_; }

 private:
  nlohmann::json fields_;
};

/// Sends a RunRequest given in base64.
/// \throws RawError The gateway refused it.
nlohmann::json raw_run(const std::string& address, const std::string& api_key, const std::string& request);

}  // namespace executor
