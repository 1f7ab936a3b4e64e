#pragma once

#include <algorithm>
#include <string_view>

namespace chunkkv {

/// Blanks, the carriage return of another system's line end, and the zero bytes that a power cut leaves.
inline constexpr std::string_view kBlanks{" \t\r\0", 4};

/// A line without the blanks around it.
inline std::string_view without_blanks(std::string_view line, std::string_view blanks = kBlanks) {
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  return line.substr(0, line.find_last_not_of(blanks) + 1);
}

}  // namespace chunkkv
