#pragma once

#include <string>
#include <vector>

namespace chunkkv::cli {

/// Rows of cells as lines of columns, the first one aligned to the left, the others to the right.
std::string text_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace chunkkv::cli
