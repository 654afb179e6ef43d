// Text that a protocol message can carry.
#pragma once

#include <string>
#include <string_view>

namespace sessiongateway::detail {

/// Whether it is well-formed UTF-8 (Unicode, table 3-7).
bool is_utf8(std::string_view text) noexcept;

/// The text, for the field of that name. gRPC would send anything, and the gateway only say that it cannot read it.
/// \throws UsageError It is not UTF-8.
const std::string& utf8(const std::string& text, const char* name);

}  // namespace sessiongateway::detail
