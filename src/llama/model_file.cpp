#include "llama/model_file.h"

#include <chunkkv/cache_file.h>
#include <chunkkv/model_identity.h>
#include <chunkkv/session.h>

#include "llama/handles.h"
#include "llama/support.h"
#include "store/file_hash.h"

#include <fmt/format.h>
#include <gguf.h>

#include <charconv>
#include <memory>

namespace chunkkv::engine {
namespace {

constexpr std::int32_t kMostParts = 65535;  // the engine counts parts in 16 bits

/// Bytes before the weights: metadata and tensor descriptions.
std::uint64_t head_bytes(const std::string& path) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(
      gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
  if (!gguf) throw Error(fmt::format("cannot read '{}'; is the model's file still there?", path));
  return gguf_get_data_offset(gguf.get());
}

}  // namespace

std::vector<std::string> model_parts(const std::string& path, const std::string& split_count) {
  std::int32_t n_parts = 0;
  std::from_chars(split_count.data(), split_count.data() + split_count.size(), n_parts);
  if (n_parts < 2 || n_parts > kMostParts) return {path};

  std::string prefix(path.size() + 1, '\0');
  const std::int32_t length =
      llama_split_prefix(prefix.data(), prefix.size(), path.c_str(), /*split_no=*/0, n_parts);
  if (length <= 0) return {path};
  prefix.resize(std::size_t(length));
  std::vector<std::string> parts;
  for (std::int32_t i = 0; i < n_parts; ++i)
    parts.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", prefix, i + 1, n_parts));
  return parts;
}

std::uint64_t add_model_file(Hash& hash, const std::string& path) {
  return add_sampled_file(hash, path, head_bytes(path));
}

}  // namespace chunkkv::engine

namespace chunkkv {

ModelIdentity identify(const Model& model) {
  ModelIdentity identity{.architecture = model.info().architecture,
                         .n_layer = model.info().n_layer,
                         .n_head_kv = model.info().n_head_kv,
                         .n_vocab = model.info().n_vocab,
                         .file_bytes = 0,
                         .hash = {}};
  Hash hash;
  const std::string split_count = engine::metadata(model.handle(), "split.count");
  for (const std::string& part : engine::model_parts(model.info().path, split_count))
    identity.file_bytes += engine::add_model_file(hash, part);
  identity.hash = hash.hex();
  return identity;
}

std::uint64_t engine_state_format() {
  return LLAMA_STATE_SEQ_VERSION;
}

CacheFormat format_of(const Session& session) {
  const SessionOptions& options = session.options();
  return {.model = identify(session.model()),
          .type_k = std::string(to_string(options.type_k)),
          .type_v = std::string(to_string(options.type_v)),
          .flash_attention = options.flash_attention,
          .engine_format = engine_state_format()};
}

}  // namespace chunkkv
