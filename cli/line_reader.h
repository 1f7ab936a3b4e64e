#pragma once

#include <optional>
#include <string>

namespace chunkkv::cli {

/// Lines of standard input, from a terminal or a pipe.
class LineReader {
 public:
  /// The next line without its end; nothing at the end of the input or when a stop is requested.
  std::optional<std::string> next();

 private:
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace chunkkv::cli
