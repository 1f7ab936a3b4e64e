#pragma once

#include <string_view>

namespace chunkkv::cli {

/// Writes to standard output at once. Error when it cannot be written (a full disk, a closed pipe).
void print(std::string_view text);

/// Writes to standard error.
void print_error(std::string_view text);

}  // namespace chunkkv::cli
