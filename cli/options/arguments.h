#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::cli {

/// The program's arguments with llama.cpp's short options of several letters ("-ctk") spelled out
/// ("--cache-type-k"): the option parser knows single letters only, and would read "-np 4" as "-n p".
/// UsageError for such an option that does not exist; for options of llama.cpp it says what to use instead.
std::vector<std::string> spell_out(int argc, const char* const* argv);

/// `message` with short names, which the user may have written, added to the long ones in it.
std::string with_short_names(std::string message);

}  // namespace chunkkv::cli
