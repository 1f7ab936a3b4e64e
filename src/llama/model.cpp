#include <chunkkv/session.h>

#include "llama/fast_attention.h"
#include "llama/fast_products.h"
#include "llama/handles.h"
#include "llama/load_layout.h"
#include "llama/model_placing.h"
#include "llama/support.h"
#include "llama/tokenizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <mutex>
#include <optional>

namespace chunkkv {

std::shared_ptr<Model> Model::load(const std::string& path, const ModelOptions& options) {
  static std::once_flag once;
  std::call_once(once, [] {
    ggml_backend_load_all();
    llama_backend_init();
  });

  std::error_code error;
  if (!std::filesystem::exists(path, error)) throw Error("there is no model file " + path);
  if (std::filesystem::is_directory(path, error)) throw Error(path + " is a folder; give a GGUF file");

  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = options.n_gpu_layers;
  if (!options.use_mmap) params.load_mode = LLAMA_LOAD_MODE_NONE;
  std::shared_ptr<Model> model(new Model);
  const bool fast_products = options.fast_prefill && engine::FastProducts::available();
  model->fast_prefill_ =
      fast_products || (options.fast_prefill && engine::FastAttention::kernel() != nullptr);
  std::optional<engine::LoadLayout> layout;
  engine::ModelPlacing placing(options);
  if (fast_products && !placing.has_overrides()) layout.emplace(path).apply(params);
  placing.apply(params);
  model->model_ = llama_model_load_from_file(path.c_str(), params);
  if (model->model_ == nullptr)
    throw Error(
        path +
        " could not be loaded: it is no GGUF file, is broken, or needs a newer llama.cpp (-v shows why)");

  std::array<char, 256> description{};
  llama_model_desc(model->model_, description.data(), description.size());
  model->info_ = {.path = path,
                  .architecture = engine::metadata(model->model_, "general.architecture"),
                  .description = description.data(),
                  .n_layer = llama_model_n_layer(model->model_),
                  .n_head = llama_model_n_head(model->model_),
                  .n_head_kv = llama_model_n_head_kv(model->model_),
                  .n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model->model_)),
                  .n_ctx_train = llama_model_n_ctx_train(model->model_),
                  .window = llama_model_n_swa(model->model_),
                  .n_bytes = llama_model_size(model->model_),
                  .n_params = llama_model_n_params(model->model_)};
  return model;
}

Model::~Model() {
  llama_model_free(model_);
}

std::string Model::refusal() const {
  return engine::why_unsupported(model_);
}

std::vector<Token> Model::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  return engine::tokenize(llama_model_get_vocab(model_), text, add_special, parse_special);
}

Token Model::token(std::int64_t id) const {
  if (id < 0 || id >= info_.n_vocab)
    throw UsageError(
        fmt::format("{} is no token of this model; its tokens are 0 to {}", id, info_.n_vocab - 1));
  return Token(id);
}

void Model::require_tokens(std::span<const Token> tokens) const {
  for (const Token id : tokens) token(id);
}

std::string Model::detokenize(Token token) const {
  require_tokens({&token, 1});
  const llama_vocab* vocab = llama_model_get_vocab(model_);
  std::string text(16, '\0');
  auto run = [&] {
    return llama_token_to_piece(vocab, token, text.data(), std::int32_t(text.size()), 0, true);
  };
  std::int32_t n = run();
  if (n < 0) {
    text.resize(std::size_t(-n));
    n = run();
  }
  text.resize(std::size_t(std::max(n, 0)));
  return text;
}

std::string Model::detokenize(std::span<const Token> tokens) const {
  std::string text;
  for (const Token t : tokens) text += detokenize(t);
  return text;
}

bool Model::is_end(Token token) const {
  require_tokens({&token, 1});
  return llama_vocab_is_eog(llama_model_get_vocab(model_), token);
}

}  // namespace chunkkv
