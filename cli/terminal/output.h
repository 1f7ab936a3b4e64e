#pragma once

#include <string_view>

namespace chunkkv::cli {

/// Writes to standard output at once. Error when it cannot be written (a full disk, a closed pipe).
void print(std::string_view text);

/// Writes to standard error.
void print_error(std::string_view text);

/// Opens /dev/null in place of each standard stream that is closed, so that using the stream still fails.
/// Otherwise the next file that is opened would get its number, and messages would be written into results.
void keep_standard_streams_apart();

}  // namespace chunkkv::cli
