// Model files, as they are read without the engine's loader: for the hash that tells one from another.
#include "fuzz/memory_file.h"
#include "fuzz/target.h"
#include "llama/handles.h"
#include "llama/model_file.h"

#include <chunkkv/error.h>

namespace {

using namespace chunkkv;

void quiet(ggml_log_level, const char*, void*) {}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool once = (ggml_log_set(quiet, nullptr), true);
  (void)once;
  const fuzz::MemoryFile file({data, size});
  try {
    Hash hash;
    fuzz::require(engine::add_model_file(hash, file.path()) == size, "a file is hashed whole");
  } catch (const Error&) {
  }
  const std::string_view text = fuzz::as_text(data, std::min<std::size_t>(size, 64));
  const auto parts = engine::model_parts(std::string(text), std::string(text.substr(text.size() / 2)));
  fuzz::require(!parts.empty() && parts.size() <= 65535, "a model has a part or a few");
  return 0;
}
