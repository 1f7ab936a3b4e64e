#pragma once

#include <string>

namespace chunkkv::cli {

/// The bytes of a file; "-" is standard input. Error when it cannot be read, Interrupted after Ctrl-C.
std::string read_text(const std::string& path);

}  // namespace chunkkv::cli
