#include "cli/measure/synthetic.h"

#include "cli/terminal/engine_log.h"
#include "cli/terminal/signals.h"

#include "synthetic/synthetic_model.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace chunkkv::cli {
namespace {

namespace fs = std::filesystem;

/// The user's cache folder, in which the scripts keep what they fetch as well.
fs::path cache_folder() {
  if (const char* own = std::getenv("CHUNKKV_CACHE")) return own;
  if (const char* all = std::getenv("XDG_CACHE_HOME")) return fs::path(all) / "chunkkv";
  if (const char* home = std::getenv("HOME")) return fs::path(home) / ".cache" / "chunkkv";
  throw UsageError("there is no home folder to keep a synthetic model in; name a file with -m FILE");
}

}  // namespace

std::string synthetic_model(const SyntheticArguments& arguments, const std::string& path,
                            const ProgressArguments& progress) {
  const eval::ModelShape shape = eval::parse_shape(arguments.shape);
  const ggml_type type = eval::parse_weight_type(arguments.type);
  const std::string name = eval::synthetic_name(shape, type);
  const fs::path file = path.empty() ? cache_folder() / "synthetic" / (name + ".gguf") : fs::path(path);
  set_engine_log(false);
  if (fs::exists(file)) {
    if (eval::gguf_name(file) == name) return file.string();
    throw UsageError(fmt::format("'{}' is not the model {}; name another file", file.string(), name));
  }
  std::error_code error;
  if (path.empty()) fs::create_directories(file.parent_path(), error);
  if (error) throw Error(fmt::format("cannot make '{}': {}", file.parent_path().string(), error.message()));

  StatusLine line(progress, std::chrono::seconds(5));
  const double total = double(eval::synthetic_bytes(shape, type));
  line.print_above(fmt::format("writing '{}', {:.1f} GB of random weights\n", file.string(), total / 1e9));
  eval::write_synthetic_model(shape, type, file, [&](std::uint64_t done) {
    if (line.due()) line.show(fmt::format("{:.1f} of {:.1f} GB", double(done) / 1e9, total / 1e9));
    return !stop_requested();
  });
  line.finish();
  return file.string();
}

}  // namespace chunkkv::cli
