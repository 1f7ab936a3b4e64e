#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::cli {

/// The program's arguments with llama.cpp's short options of several letters ("-ctk") spelled out
/// ("--cache-type-k"): the option parser knows single letters only, and would read "-np 4" as "-n p".
/// UsageError for such an option that there is none of; for llama.cpp's it says what to use instead.
std::vector<std::string> spell_out(int argc, const char* const* argv);

/// `message` with the short names that the user may have written beside the long ones in it.
std::string with_short_names(std::string message);

}  // namespace chunkkv::cli
