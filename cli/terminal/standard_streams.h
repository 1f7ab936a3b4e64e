#pragma once

namespace chunkkv::cli {

/// Opens /dev/null in place of each standard stream that is closed, so that using the stream still fails.
/// Otherwise the next file that is opened would get its number, and messages would be written into results.
void keep_standard_streams_apart();

}  // namespace chunkkv::cli
