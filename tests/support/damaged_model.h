#pragma once

#include "support/tiny_model.h"

#include <gguf.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

namespace chunkkv::test {

/// Writes a tiny model in which one weight of the output is no number, and returns the file's path.
inline std::string write_damaged_model() {
  const std::string sound = write_tiny_model({}, tiny_folder());
  const std::string path = sound + ".damaged";
  std::filesystem::copy_file(sound, path, std::filesystem::copy_options::overwrite_existing);
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(gguf_init_from_file(path.c_str(), {}),
                                                                 &gguf_free);
  const std::int64_t tensor = gguf ? gguf_find_tensor(gguf.get(), "output.weight") : -1;
  if (tensor < 0) throw std::runtime_error(path + " has no output.weight");
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(std::streamoff(gguf_get_data_offset(gguf.get()) + gguf_get_tensor_offset(gguf.get(), tensor)));
  const float bad = std::numeric_limits<float>::quiet_NaN();
  file.write(reinterpret_cast<const char*>(&bad), sizeof bad);
  if (!file) throw std::runtime_error("cannot write " + path);
  return path;
}

}  // namespace chunkkv::test
