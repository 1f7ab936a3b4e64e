#include <chunkkv/model_identity.h>

#include <chunkkv/cache_file.h>
#include <chunkkv/session.h>

#include "llama/handles.h"
#include "llama/model_file.h"

#include <array>

namespace chunkkv {
namespace {

std::string split_count(const Model& model) {
  std::array<char, 16> text{};
  llama_model_meta_val_str(model.handle(), "split.count", text.data(), text.size());
  return text.data();
}

}  // namespace

ModelIdentity identify(const Model& model) {
  ModelIdentity identity{.architecture = model.info().architecture,
                         .n_layer = model.info().n_layer,
                         .n_head_kv = model.info().n_head_kv,
                         .n_vocab = model.info().n_vocab,
                         .file_bytes = 0,
                         .hash = {}};
  Hash hash;
  for (const std::string& part : engine::model_parts(model.info().path, split_count(model)))
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
