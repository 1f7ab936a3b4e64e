#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// Names a line, counted from 1, in messages: "'data/x.jsonl', line 3".
std::string place(const std::filesystem::path& file, std::size_t line);

/// Opens a file for reading bytes. Error when it cannot be read.
std::ifstream open_file(const std::filesystem::path& file);

/// Returns the whole content of a file. Error when it cannot be read.
std::string read_file(const std::filesystem::path& file);

/// Regular files of `folder` with this extension (such as ".txt"), sorted by name. UsageError when the folder
/// cannot be read.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder,
                                            const std::string& extension);

}  // namespace chunkkv::eval
