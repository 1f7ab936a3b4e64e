#pragma once

#include <chunkkv/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct llama_model;

namespace chunkkv {

/// How a model is split over several devices.
enum class SplitMode : std::uint8_t {
  none,   ///< the whole model on one device
  layer,  ///< whole layers, with their cache
  row,    ///< rows of weight matrices, where devices can split them; the cache on the main device
};

struct ModelOptions {
  std::int32_t n_gpu_layers = -1;  ///< layers on the GPU; negative: all. Ignored without a GPU
  bool use_mmap = true;
  /// Compute with our own kernels where they are faster than the engine's, on x86 with AVX2 and newer:
  /// products of many tokens and weights other than F32, attention over F16 caches. False: the engine's
  /// kernels only.
  bool fast_prefill = true;

  /// Names of the devices to use, see devices.h; empty: all. "none": the CPU only.
  std::vector<std::string> devices = {};
  SplitMode split_mode = SplitMode::layer;
  std::vector<float> tensor_split = {};  ///< shares of the devices; empty: by their free memory
  std::int32_t main_device = 0;          ///< index of the main device, for SplitMode::none and row
  /// Pairs of a regular expression and a memory: tensors whose names match go to that memory.
  std::vector<std::pair<std::string, std::string>> tensor_places = {};
};

struct ModelInfo {
  std::string path;
  std::string architecture;  ///< GGUF's general.architecture
  std::string description;   ///< "llama 135M Q4_1"
  std::int32_t n_layer = 0;
  std::int32_t n_head = 0;
  std::int32_t n_head_kv = 0;
  std::int32_t n_vocab = 0;  ///< tokens in the vocabulary
  std::int32_t n_ctx_train = 0;
  std::int32_t window = 0;  ///< tokens that layers with a sliding window keep; 0: there are none
  std::uint64_t n_bytes = 0;
  std::uint64_t n_params = 0;
};

/// A loaded GGUF model. Immutable. Sessions may share it, and each holds it as long as it lives.
class Model {
 public:
  /// Error when the file is missing or broken, UsageError for a device or memory that does not exist.
  static std::shared_ptr<Model> load(const std::string& path, const ModelOptions& options = {});
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelInfo& info() const { return info_; }
  /// Why this model's cache cannot be compressed, as a sentence; empty when it can.
  std::string refusal() const;

  /// Splits text into tokens. Error when the text is longer than 2 GiB, or when its longest run without
  /// blanks and its longest run of blanks together exceed 4 MiB. Thread-safe.
  std::vector<Token> tokenize(std::string_view text, bool add_special, bool parse_special) const;
  /// UsageError for a token id outside the vocabulary, as in all functions that take tokens.
  std::string detokenize(Token token) const;
  std::string detokenize(std::span<const Token> tokens) const;
  bool is_end(Token token) const;
  /// The token with this id; UsageError for one outside the vocabulary.
  Token token(std::int64_t id) const;
  /// UsageError, which names the first token id outside the vocabulary, if there is one.
  void require_tokens(std::span<const Token> tokens) const;

  llama_model* handle() const { return model_; }
  /// Whether our own kernels are used: ModelOptions::fast_prefill is set, and this processor can run them.
  bool fast_prefill() const { return fast_prefill_; }

 private:
  Model() = default;
  llama_model* model_ = nullptr;
  bool fast_prefill_ = false;
  ModelInfo info_;
};

}  // namespace chunkkv
