#pragma once

#include "base/atomic_file.h"

#include <string>

namespace chunkkv::cli {

/// A file that a command writes. UsageError when it is one that the command reads.
class OutputFile : public AtomicFile {
 public:
  explicit OutputFile(const std::string& path);
};

}  // namespace chunkkv::cli
