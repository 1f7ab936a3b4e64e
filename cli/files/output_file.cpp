#include "cli/files/output_file.h"

#include "cli/files/inputs.h"

namespace chunkkv::cli {
namespace {

const std::string& checked(const std::string& path) {
  refuse_input(path);
  return path;
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : AtomicFile(checked(path)) {}

}  // namespace chunkkv::cli
