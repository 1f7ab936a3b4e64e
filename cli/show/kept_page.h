#pragma once

#include "cli/show/kept_view.h"

#include <string>

namespace chunkkv::cli {

/// One self-contained HTML page that draws the text with what each layer kept.
std::string kept_page(const KeptView& view);

}  // namespace chunkkv::cli
