#include <chunkkv/model_identity.h>

#include <chunkkv/cache_file.h>
#include <chunkkv/session.h>

#include "llama/handles.h"
#include "store/file_hash.h"

#include <fmt/format.h>
#include <gguf.h>

#include <array>
#include <charconv>
#include <memory>

namespace chunkkv {
namespace {

/// Files of a model, which may be split.
std::vector<std::string> parts_of(const Model& model) {
  const std::string& path = model.info().path;
  std::array<char, 16> text{};
  llama_model_meta_val_str(model.handle(), "split.count", text.data(), text.size());
  std::int32_t n_parts = 0;
  std::from_chars(text.data(), text.data() + text.size(), n_parts);
  if (n_parts < 2) return {path};

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

/// Bytes before the weights: metadata and tensor descriptions.
std::uint64_t head_bytes(const std::string& path) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(
      gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
  if (!gguf) throw Error(fmt::format("cannot read '{}'; is the model's file still there?", path));
  return gguf_get_data_offset(gguf.get());
}

}  // namespace

ModelIdentity identify(const Model& model) {
  ModelIdentity identity{.architecture = model.info().architecture,
                         .n_layer = model.info().n_layer,
                         .n_head_kv = model.info().n_head_kv,
                         .n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model.handle())),
                         .file_bytes = 0,
                         .hash = {}};
  Hash hash;
  for (const std::string& part : parts_of(model))
    identity.file_bytes += add_sampled_file(hash, part, head_bytes(part));
  identity.hash = hash.hex();
  return identity;
}

std::uint64_t engine_state_format() {
  return LLAMA_STATE_SEQ_VERSION;
}

CacheHome home_of(const Session& session) {
  const SessionOptions& options = session.options();
  return {.model = identify(session.model()),
          .type_k = std::string(to_string(options.type_k)),
          .type_v = std::string(to_string(options.type_v)),
          .flash_attention = options.flash_attention,
          .engine_format = engine_state_format()};
}

}  // namespace chunkkv
