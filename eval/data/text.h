#pragma once

#include <filesystem>
#include <string>

namespace chunkkv::eval {

/// The text of all .txt files of a folder, sorted by name and joined by blank lines, with line feeds as the
/// only line ends. UsageError when there is no text, Error with file and line when a file is not UTF-8.
std::string read_texts(const std::filesystem::path& folder);

}  // namespace chunkkv::eval
