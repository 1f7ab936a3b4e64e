#pragma once

#include <string>
#include <vector>

namespace chunkkv::cli {

/// The program's arguments with llama.cpp's short options of several letters ("-ctk") spelled out
/// ("--cache-type-k"): the option parser knows single letters only.
std::vector<std::string> spell_out(int argc, const char* const* argv);

}  // namespace chunkkv::cli
