#pragma once

#include "store/atomic_file.h"

#include <string>
#include <string_view>

namespace chunkkv::cli {

/// Writes to standard output at once. Error when it cannot be written (a full disk, a closed pipe).
void print(std::string_view text);

/// Writes to standard error.
void print_error(std::string_view text);

/// A file that a command writes. UsageError when it is one that the command reads.
class OutputFile : public AtomicFile {
 public:
  explicit OutputFile(const std::string& path);
};

}  // namespace chunkkv::cli
