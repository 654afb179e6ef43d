// Everything but json.h, which needs nlohmann/json.
#pragma once

#include "sessiongateway/client.h"   // IWYU pragma: export
#include "sessiongateway/errors.h"   // IWYU pragma: export
#include "sessiongateway/options.h"  // IWYU pragma: export
#include "sessiongateway/types.h"    // IWYU pragma: export
