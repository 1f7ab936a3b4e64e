#pragma once

#include "base/atomic_file.h"
#include "cli/files/inputs.h"

#include <string>

namespace chunkkv::cli {

/// A file that a command writes. UsageError when the command reads it, too; else errors as of `AtomicFile`.
class OutputFile : public AtomicFile {
 public:
  explicit OutputFile(const std::string& path) : AtomicFile(refuse_input(path)) {}
};

}  // namespace chunkkv::cli
