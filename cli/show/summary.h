#pragma once

#include "cli/show/kept_view.h"

#include <string>

namespace chunkkv::cli {

/// What was kept, in a few lines for a terminal: where in the prompt each layer keeps, and the passages that
/// most layers agree on.
std::string summary(const KeptView& view);

}  // namespace chunkkv::cli
