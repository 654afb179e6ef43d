// What a handle that can be moved stands for.
#pragma once

#include <memory>

#include "sessiongateway/errors.h"

namespace sessiongateway::detail {

/// \throws UsageError The handle was moved from.
template <class Thing>
Thing& held(const std::shared_ptr<Thing>& thing) {
  if (!thing) throw UsageError("this object was moved from");
  return *thing;
}

}  // namespace sessiongateway::detail
