// Optional: inputs and outputs as nlohmann::json. Integers stay exact up to 64 bits; text has no such bound.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "sessiongateway/errors.h"

namespace sessiongateway {

namespace detail {

inline void refuse_what_json_lacks(const nlohmann::json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    throw UsageError("the input holds a number that JSON does not have");
  }
  if (value.is_structured()) {
    for (const auto& each : value) refuse_what_json_lacks(each);
  }
}

}  // namespace detail

/// The text of an input.
/// \throws UsageError It is no object, or holds NaN, an infinity, or text that is not UTF-8.
inline std::string to_input(const nlohmann::json& value) {
  if (!value.is_object()) throw UsageError("the input must be a JSON object");
  // The library writes NaN as null, which would change the input behind the caller's back.
  detail::refuse_what_json_lacks(value);
  try {
    return value.dump();
  } catch (const nlohmann::json::exception& error) {
    throw UsageError(std::string("the input cannot be sent as JSON: ") + error.what());
  }
}

/// The value of an output or a partial output.
/// \throws nlohmann::json::parse_error It is not JSON, which no gateway sends.
inline nlohmann::json from_output(std::string_view text) {
  return nlohmann::json::parse(text);
}

}  // namespace sessiongateway
