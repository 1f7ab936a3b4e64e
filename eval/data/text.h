#pragma once

#include <filesystem>
#include <string>

namespace chunkkv::eval {

/// All .txt files of a folder in the order of their names, a blank line between
/// them, lines ended by line feeds alone. UsageError when there
/// are none, Error with file and line when one is not UTF-8.
std::string read_texts(const std::filesystem::path& folder);

}  // namespace chunkkv::eval
