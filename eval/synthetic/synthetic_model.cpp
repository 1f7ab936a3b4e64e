#include "synthetic/synthetic_model.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

namespace chunkkv::eval {
namespace {

/// Gain of the query and key matrices. It gives attention with a few peaks, as in a trained model.
constexpr float kAttentionGain = 1.7F;

constexpr std::array kTypes = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16, GGML_TYPE_Q8_0,
                               GGML_TYPE_Q6_K, GGML_TYPE_Q5_K, GGML_TYPE_Q5_1, GGML_TYPE_Q5_0,
                               GGML_TYPE_Q4_K, GGML_TYPE_Q4_1, GGML_TYPE_Q4_0, GGML_TYPE_MXFP4};

/// A size that the text given to `parse_shape` may change.
struct Size {
  const char* name;
  std::uint32_t ModelShape::*member;
};
constexpr std::array kSizes = {Size{"layers", &ModelShape::n_layer}, Size{"vocab", &ModelShape::n_vocab},
                               Size{"context", &ModelShape::n_ctx_train}};

/// A pool of random values in the type of a matrix, which is read from its beginning again and again. Each
/// pass starts one quantisation block later, so that rows that are one pass apart differ.
class RandomPool {
 public:
  RandomPool(ggml_type type, float mean, float deviation, std::uint32_t seed)
      : type_(type), mean_(mean), deviation_(deviation), seed_(seed) {}

  void fill(std::span<std::byte> part) {
    if (pool_.empty()) draw();
    while (!part.empty()) {
      if (at_ == pool_.size()) at_ = start_ = (start_ + ggml_type_size(type_)) % pool_.size();
      const std::size_t n = std::min(part.size(), pool_.size() - at_);
      std::memcpy(part.data(), pool_.data() + at_, n);
      at_ += n;
      part = part.subspan(n);
    }
  }

 private:
  static constexpr std::int64_t kValues = 1 << 20;

  void draw() {
    std::mt19937_64 random(seed_);
    std::normal_distribution<float> normal(mean_, deviation_);
    std::vector<float> values(kValues);
    for (float& value : values) value = normal(random);
    pool_.resize(ggml_row_size(type_, kValues));
    ggml_quantize_chunk(type_, values.data(), pool_.data(), 0, 1, kValues, nullptr);
  }

  ggml_type type_;
  float mean_, deviation_;
  std::uint32_t seed_;
  std::vector<std::byte> pool_;  // drawn by the first `fill`, as the size of a model needs no values
  std::size_t at_ = 0, start_ = 0;
};

class SyntheticModel {
 public:
  SyntheticModel(const ModelShape& shape, ggml_type type)
      : shape_(shape), type_(type), file_(shape.architecture) {
    keys();
    const std::int64_t n_embd = shape.n_embd;
    matrix("token_embd.weight", n_embd, shape.n_vocab);
    vector("output_norm.weight", n_embd, 1);
    if (!shape.tied_output) matrix("output.weight", n_embd, shape.n_vocab);
    for (std::uint32_t i = 0; i < shape.n_layer; ++i) layer(fmt::format("blk.{}.", i));
  }

  const GgufWriter& file() const { return file_; }

 private:
  void keys() {
    file_.set("general.name", synthetic_name(shape_, type_));
    file_.set("vocab_size", shape_.n_vocab);
    file_.set("context_length", shape_.n_ctx_train);
    file_.set("embedding_length", shape_.n_embd);
    file_.set("block_count", shape_.n_layer);
    file_.set("feed_forward_length", shape_.n_ff);
    file_.set("attention.layer_norm_rms_epsilon", shape_.norm_epsilon);
    file_.set("attention.head_count", shape_.n_head);
    file_.set("attention.head_count_kv", shape_.n_head_kv);
    file_.set("attention.key_length", shape_.head_dim);
    file_.set("attention.value_length", shape_.head_dim);
    file_.set("rope.dimension_count", shape_.head_dim);
    file_.set("rope.freq_base", shape_.rope_base);
    if (shape_.n_expert > 0) {
      file_.set("expert_count", shape_.n_expert);
      file_.set("expert_used_count", shape_.n_expert_used);
      file_.set("expert_feed_forward_length", shape_.n_ff);
    }
    file_.set_byte_tokenizer(shape_.n_vocab);
  }

  void layer(const std::string& block) {
    const std::int64_t n_embd = shape_.n_embd;
    const std::int64_t n_q = std::int64_t(shape_.n_head) * shape_.head_dim;
    const std::int64_t n_kv = std::int64_t(shape_.n_head_kv) * shape_.head_dim;
    vector(block + "attn_norm.weight", n_embd, 1);
    matrix(block + "attn_q.weight", n_embd, n_q, kAttentionGain);
    matrix(block + "attn_k.weight", n_embd, n_kv, kAttentionGain);
    matrix(block + "attn_v.weight", n_embd, n_kv);
    matrix(block + "attn_output.weight", n_q, n_embd);
    if (shape_.architecture == "qwen2") {
      vector(block + "attn_q.bias", n_q, 0);
      vector(block + "attn_k.bias", n_kv, 0);
      vector(block + "attn_v.bias", n_kv, 0);
    }
    if (shape_.architecture.starts_with("qwen3")) {
      vector(block + "attn_q_norm.weight", shape_.head_dim, 1);
      vector(block + "attn_k_norm.weight", shape_.head_dim, 1);
    }
    vector(block + "ffn_norm.weight", n_embd, 1);
    const std::int64_t n_expert = shape_.n_expert, n_ff = shape_.n_ff;
    const std::string name = n_expert > 0 ? "_exps.weight" : ".weight";
    // The engine's files keep what chooses the experts in single precision.
    if (n_expert > 0)
      add(block + "ffn_gate_inp.weight", {n_embd, n_expert}, GGML_TYPE_F32, 0, deviation(n_embd));
    matrices(block + "ffn_gate" + name, n_embd, n_ff);
    matrices(block + "ffn_up" + name, n_embd, n_ff);
    matrices(block + "ffn_down" + name, n_ff, n_embd);
  }

  /// Adds a matrix, or in a mixture one for each expert.
  void matrices(const std::string& name, std::int64_t n_in, std::int64_t n_out) {
    if (shape_.n_expert == 0) return matrix(name, n_in, n_out);
    check_row(n_in);
    add(name, {n_in, n_out, shape_.n_expert}, type_, 0, deviation(n_in));
  }

  /// Adds a matrix from n_in values to n_out; a normalised input gives outputs of standard deviation `gain`.
  void matrix(const std::string& name, std::int64_t n_in, std::int64_t n_out, float gain = 1) {
    check_row(n_in);
    add(name, {n_in, n_out}, type_, 0, gain * deviation(n_in));
  }

  static float deviation(std::int64_t n_in) { return 1 / std::sqrt(float(n_in)); }

  void check_row(std::int64_t n_in) const {
    if (n_in % ggml_blck_size(type_) != 0) {
      throw UsageError(
          fmt::format("rows of {} values do not fit the blocks of {}; use f16", n_in, ggml_type_name(type_)));
    }
  }

  void vector(const std::string& name, std::int64_t n, float mean) {
    add(name, {n}, GGML_TYPE_F32, mean, 0.1F);
  }

  void add(const std::string& name, std::initializer_list<std::int64_t> shape, ggml_type type, float mean,
           float deviation) {
    std::shared_ptr<RandomPool>& pool = pools_[{type, mean, deviation}];
    if (!pool) pool = std::make_shared<RandomPool>(type, mean, deviation, std::uint32_t(pools_.size()));
    file_.add(name, {shape.begin(), shape.size()}, type,
              [pool](std::span<std::byte> part) { pool->fill(part); });
  }

  ModelShape shape_;
  ggml_type type_;
  GgufWriter file_;
  std::map<std::tuple<ggml_type, float, float>, std::shared_ptr<RandomPool>> pools_;
};

}  // namespace

std::span<const ModelShape> model_shapes() {
  // The columns: name, architecture, layers, embedding, heads, KV heads, head size, feed-forward, vocabulary,
  // trained context, RoPE base, norm epsilon, tied output; of a mixture experts, and those of a token.
  static const std::vector<ModelShape> shapes = {
      {"llama-3.1-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 500000, 1e-5F, false},
      {"llama-3.2-1b", "llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 500000, 1e-5F, true},
      {"llama-3.2-3b", "llama", 28, 3072, 24, 8, 128, 8192, 128256, 131072, 500000, 1e-5F, true},
      {"mistral-7b", "llama", 32, 4096, 32, 8, 128, 14336, 32768, 32768, 1000000, 1e-5F, false},
      {"qwen2.5-0.5b", "qwen2", 24, 896, 14, 2, 64, 4864, 151936, 32768, 1000000, 1e-6F, true},
      {"qwen2.5-1.5b", "qwen2", 28, 1536, 12, 2, 128, 8960, 151936, 32768, 1000000, 1e-6F, true},
      {"qwen2.5-7b", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 32768, 1000000, 1e-6F, false},
      {"qwen3-8b", "qwen3", 36, 4096, 32, 8, 128, 12288, 151936, 40960, 1000000, 1e-6F, false},
      {"mixtral-8x7b", "llama", 32, 4096, 32, 8, 128, 14336, 32000, 32768, 1000000, 1e-5F, false, 8, 2},
      {"qwen3-30b-a3b", "qwen3moe", 48, 2048, 32, 4, 128, 768, 151936, 40960, 1000000, 1e-6F, false, 128, 8},
      {"tiny", "llama", 2, 128, 4, 2, 32, 256, 512, 8192, 10000, 1e-5F, false},
      {"tiny-mixture", "qwen3moe", 2, 128, 4, 2, 32, 64, 512, 8192, 10000, 1e-5F, false, 8, 2},
  };
  return shapes;
}

ModelShape parse_shape(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const auto shapes = model_shapes();
  const auto known = std::find_if(shapes.begin(), shapes.end(), [&](const ModelShape& shape) {
    return shape.name == text.substr(0, colon);
  });
  if (known == shapes.end()) {
    std::vector<std::string> names;
    for (const ModelShape& shape : shapes) names.push_back(shape.name);
    throw UsageError(fmt::format("there is no shape '{}'; choose {}, with sizes as {}:layers=2",
                                 text.substr(0, colon), fmt::join(names, ", "), names.front()));
  }
  ModelShape shape = *known;
  for (std::size_t begin = colon + 1; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = std::min(part.find('='), part.size());
    const auto size = std::find_if(kSizes.begin(), kSizes.end(),
                                   [&](const Size& s) { return s.name == part.substr(0, equals); });
    const std::string_view digits = part.substr(std::min(equals + 1, part.size()));
    std::uint32_t value = 0;
    const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const std::uint32_t least = size != kSizes.end() && size->name == std::string_view("vocab") ? 260 : 1;
    if (size == kSizes.end() || error != std::errc() || last != digits.data() + digits.size() ||
        value < least || value > (1U << 24)) {
      throw UsageError(
          fmt::format("a shape's sizes are layers=N, vocab=N (260 or more) and context=N, not '{}'", part));
    }
    shape.*(size->member) = value;
  }
  return shape;
}

ggml_type parse_weight_type(std::string_view name) {
  std::vector<std::string> names;
  for (const ggml_type type : kTypes) {
    names.emplace_back(ggml_type_name(type));
    if (names.back() == name) return type;
  }
  throw UsageError(fmt::format("there are no weights of type '{}'; choose {}", name, fmt::join(names, ", ")));
}

std::string synthetic_name(const ModelShape& shape, ggml_type type) {
  std::string name = "synthetic-" + shape.name;
  const ModelShape usual = parse_shape(shape.name);
  for (const Size& size : kSizes) {
    if (shape.*(size.member) != usual.*(size.member))
      name += fmt::format("-{}{}", size.name, shape.*(size.member));
  }
  return name + "-" + ggml_type_name(type);
}

void write_synthetic_model(const ModelShape& shape, ggml_type type, const std::filesystem::path& path,
                           const GgufWriter::Progress& progress) {
  SyntheticModel(shape, type).file().write(path, progress);
}

std::uint64_t synthetic_bytes(const ModelShape& shape, ggml_type type) {
  return SyntheticModel(shape, type).file().n_bytes();
}

}  // namespace chunkkv::eval
