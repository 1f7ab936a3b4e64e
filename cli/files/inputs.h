#pragma once

#include "base/atomic_file.h"

#include <chunkkv/error.h>

#include <string>

namespace CLI {
class Option;
}

/// The files that the running command reads. What it writes must be none of them. Every option that names a
/// file to read is declared with `reads_file` or `reads_model`; everything that is written goes through
/// `refuse_input` (`OutputFile` does that itself).
namespace chunkkv::cli {

/// Registers the files that the option names. "-" is left out: `refuse_input` always looks at standard input.
CLI::Option* reads_file(CLI::Option* option);
/// Registers the model file that the option names, with all parts of a split model.
CLI::Option* reads_model(CLI::Option* option);
/// Registers a file that is not named on the command line, as by a chat's /load.
void add_input(const std::string& path);

/// What `refuse_input` throws.
class InputRefused : public UsageError {
 public:
  using UsageError::UsageError;
};

/// Returns `output`. InputRefused when it leads to a file that is read, standard input included, by symbolic
/// or hard links or by another spelling; or to a file in a folder that is read, unless it holds results.
const std::string& refuse_input(const std::string& output);

/// A file that a command writes. UsageError when the command reads it, too; else errors as of `AtomicFile`.
class OutputFile : public AtomicFile {
 public:
  explicit OutputFile(const std::string& path) : AtomicFile(refuse_input(path)) {}
};

}  // namespace chunkkv::cli
