#pragma once

namespace chunkkv::cli {

/// Where standard input, output or error is closed, its number gets a file that can be neither read nor
/// written: else the next file that is opened had it, and messages would be written into results.
void keep_standard_streams_apart();

}  // namespace chunkkv::cli
