#pragma once

#include <chunkkv/error.h>

#include <string>

namespace CLI {
class Option;
}

/// The files that the running command reads. What it writes must be none of them. Every option that names a
/// file to read is declared with `reads_file` or `reads_model`; everything that is written goes through
/// `refuse_input`
/// (`OutputFile` does that itself).
namespace chunkkv::cli {

/// Notes the files that the option is given, "-" but for what standard input is.
CLI::Option* reads_file(CLI::Option* option);
/// Likewise; of a split model all parts.
CLI::Option* reads_model(CLI::Option* option);
/// A file that is named later than on the command line.
void add_input(const std::string& path);

/// What `refuse_input` throws.
class InputRefused : public UsageError {
 public:
  using UsageError::UsageError;
};

/// InputRefused when `output` leads to a file that is read, by symbolic or hard links or by another spelling;
/// or to a file in a folder that is read, unless it holds results.
void refuse_input(const std::string& output);

}  // namespace chunkkv::cli
