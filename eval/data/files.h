#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// For messages: "'data/x.jsonl', line 3". Lines count from 1.
std::string place(const std::filesystem::path& file, std::size_t line);

/// Error when it cannot be read.
std::ifstream open_file(const std::filesystem::path& file);

/// The whole file. Error when it cannot be read.
std::string read_file(const std::filesystem::path& file);

/// Regular files of `folder` with this extension (".txt"), by name. UsageError when it is no folder.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder,
                                            const std::string& extension);

}  // namespace chunkkv::eval
