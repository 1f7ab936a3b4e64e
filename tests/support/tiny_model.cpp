#include "tiny_model.h"

#include "tiny_architectures.h"

#include <cmath>
#include <functional>
#include <stdexcept>

#include <unistd.h>

namespace chunkkv::test {

namespace {

/// What an architecture demands of the sizes.
enum Needs : unsigned {
  nothing = 0,
  square = 1,  ///< n_embd == n_head * head_dim
  mha = 2,     ///< n_head_kv == n_head
};

struct Architecture {
  const char* name;
  unsigned needs;
  void (*write)(const TinyModel&, GgufBuilder&);
};

constexpr Architecture kArchitectures[] = {
    {"llama", nothing, write_llama},     // Llama, Mistral up to Nemo
    {"mistral3", nothing, write_llama},  // Ministral 3: the same tensors
    {"smollm3", nothing, write_llama},   // no RoPE in every fourth layer
    {"qwen2", square, write_qwen2},
    {"qwen3", nothing, write_qwen3},
    {"qwen3moe", nothing, write_qwen3moe},
    {"glm4moe", nothing, write_glm4moe},        // GLM-4.5
    {"minimax-m2", nothing, write_minimax_m2},  // queries and keys normalised over all heads
    {"phi3", square, write_phi3},               // Phi-3, Phi-4
    {"gemma", nothing, write_gemma},
    {"gemma2", nothing, write_gemma2},  // sliding window in every second layer
    {"gemma3", nothing, write_gemma3},
    {"gemma3n", nothing, write_gemma3n},  // the last two of 22 layers read the rows of others
    {"gemma4", nothing, write_gemma4},
    {"gpt-oss", nothing, write_gpt_oss},  // sinks
    {"cohere2", square, write_cohere2},
    {"olmo2", square, write_gemma3},    // OLMo 3
    {"exaone4", square, write_gemma3},  // windows only in models of 64 layers
    {"llama4", square, write_llama4},   // windows are chunks of 8192
    {"qwen3next", nothing, write_qwen3next},
    {"qwen35", nothing, write_qwen3next},
    {"qwen35moe", nothing, write_qwen3next},
    {"granitehybrid", nothing, write_granitehybrid},
    {"falcon-h1", nothing, write_falcon_h1},  // attention and a state in every layer
    {"nemotron_h", nothing, write_nemotron_h},
    {"jamba", nothing, write_granitehybrid},
    {"kimi-linear", square, write_kimi_linear},
    {"qwen2vl", square, write_qwen2vl},   // M-RoPE: Qwen2-VL, Qwen2.5-VL
    {"qwen3vl", nothing, write_qwen3vl},  // interleaved M-RoPE
    {"qwen3vlmoe", nothing, write_qwen3vlmoe},
    {"deepseek2", nothing, write_deepseek2},  // latent attention
    {"bloom", square, write_bloom},           // ALiBi
    {"mamba", nothing, write_mamba},          // recurrent
    {"lfm2", square, write_lfm2},             // hybrid
    {"bert", square | mha, write_bert},       // encoder
    {"t5", nothing, write_t5},                // encoder and decoder
};

const Architecture& find(const TinyModel& what) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name != what.architecture) continue;
    if ((architecture.needs & square) != 0 && what.n_embd != what.n_head * what.head_dim) {
      throw std::invalid_argument("a tiny " + what.architecture + " needs n_embd == n_head * head_dim");
    }
    if ((architecture.needs & mha) != 0 && what.n_head_kv != what.n_head) {
      throw std::invalid_argument("a tiny " + what.architecture + " needs n_head_kv == n_head");
    }
    return architecture;
  }
  throw std::invalid_argument("no tiny model of architecture '" + what.architecture + "'");
}

/// A name that tells all fields, so that two models of one folder never share a file.
std::string file_name(const TinyModel& what) {
  std::string name = "tiny-" + what.architecture;
  const auto add = [&](const char* letter, const std::string& value) { name += "-" + (letter + value); };
  add("l", std::to_string(what.n_layer));
  add("h", std::to_string(what.n_head));
  add("kv", std::to_string(what.n_head_kv));
  add("d", std::to_string(what.head_dim));
  add("e", std::to_string(what.n_embd));
  add("ff", std::to_string(what.n_ff));
  add("v", std::to_string(what.n_vocab));
  add("c", std::to_string(what.n_ctx_train));
  add("b", std::to_string(std::lround(what.rope_base)));
  if (what.rope_factors) add("", "factors");
  add("r", std::to_string(what.n_rot));
  if (!what.rope_scaling.empty()) add("", what.rope_scaling + std::to_string(what.rope_scaling_factor));
  add("", what.f16 ? "f16" : "f32");
  if (what.space_prefix) add("", "blank");
  if (!what.chat_template.empty()) add("t", std::to_string(std::hash<std::string>{}(what.chat_template)));
  add("s", std::to_string(what.seed));
  return name + ".gguf";
}

}  // namespace

std::string write_tiny_model(const TinyModel& what, const std::filesystem::path& folder) {
  TinyModel full = what;
  if (full.n_embd == 0) full.n_embd = full.n_head * full.head_dim;
  const Architecture& architecture = find(full);
  if (full.n_head_kv == 0 || full.n_head % full.n_head_kv != 0) {
    throw std::invalid_argument("a tiny model's n_head must be a multiple of n_head_kv");
  }

  const std::filesystem::path path = folder / file_name(full);
  if (std::filesystem::exists(path)) return path.string();
  GgufBuilder file(full.architecture, full.seed, full.f16 ? GGML_TYPE_F16 : GGML_TYPE_F32);
  file.set_tokenizer(full.n_vocab);
  if (full.space_prefix) file.set_tokenizer("ggml.add_space_prefix", true);
  if (!full.chat_template.empty()) file.set_tokenizer("chat_template", full.chat_template);
  architecture.write(full, file);
  file.write(path);
  return path.string();
}

const std::filesystem::path& tiny_folder() {
  static const struct Folder {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("chunkkv-tiny-" + std::to_string(getpid()));
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  } folder;
  return folder.path;
}

std::vector<std::string> tiny_architectures() {
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  return names;
}

std::vector<NamedModel> compressible_models() {
  return {
      {"llama", {}},
      {"llama3", {.architecture = "llama", .head_dim = 64, .rope_base = 500000, .rope_factors = true}},
      {"llama_mha", {.architecture = "llama", .n_head_kv = 4}},
      {"llama_mqa", {.architecture = "llama", .n_head_kv = 1}},
      {"mistral", {.architecture = "llama", .n_head = 8, .n_head_kv = 2, .rope_base = 1000000}},
      {"mistral3", {.architecture = "mistral3", .n_embd = 96, .rope_base = 1000000}},
      {"smollm3", {.architecture = "smollm3", .n_layer = 4}},
      {"qwen2", {.architecture = "qwen2", .rope_base = 1000000}},
      {"qwen3", {.architecture = "qwen3", .head_dim = 64, .n_embd = 96, .rope_base = 1000000}},
      {"qwen3moe", {.architecture = "qwen3moe", .n_ff = 48}},
      {"glm4moe", {.architecture = "glm4moe", .n_ff = 48}},
      {"minimax_m2", {.architecture = "minimax-m2", .n_ff = 48}},
      {"qwen2vl", {.architecture = "qwen2vl"}},
      {"qwen3vl", {.architecture = "qwen3vl", .head_dim = 64}},
      {"qwen3vlmoe", {.architecture = "qwen3vlmoe", .n_ff = 48}},
      {"deepseek2", {.architecture = "deepseek2"}},
      {"exaone4", {.architecture = "exaone4"}},
      {"phi3", {.architecture = "phi3", .n_head_kv = 4}},
      {"phi3_factors", {.architecture = "phi3", .rope_factors = true}},
      {"gemma", {.architecture = "gemma", .n_head_kv = 1, .head_dim = 64, .n_embd = 128}},
  };
}

std::vector<MixedModel> mixed_models() {
  const auto all = [](std::int32_t n) {
    std::vector<std::int32_t> layers(std::size_t{} + std::size_t(n));
    for (std::int32_t layer = 0; layer < n; ++layer) layers[std::size_t(layer)] = layer;
    return layers;
  };
  const std::vector<std::int32_t> odd{1, 3}, even{0, 2};
  std::vector<MixedModel> models = {
      {"gemma2", {.architecture = "gemma2", .n_layer = 4}, odd, true, false},
      {"gemma3", {.architecture = "gemma3", .n_layer = 4}, odd, true, false},
      {"gemma3n",
       {.architecture = "gemma3n", .n_layer = 22, .n_head = 2, .n_head_kv = 1, .n_embd = 64, .n_ff = 96},
       {1, 3, 5, 7, 9, 11, 13, 15, 17, 19},
       true,
       false},
      {"gemma4", {.architecture = "gemma4", .n_layer = 6}, {2}, true, false},
      {"gpt_oss", {.architecture = "gpt-oss", .n_layer = 4, .head_dim = 64, .n_embd = 96}, odd, true, false},
      {"cohere2", {.architecture = "cohere2", .n_layer = 4}, odd, true, false},
      {"olmo2", {.architecture = "olmo2", .n_layer = 4}, odd, true, false},
      {"llama4", {.architecture = "llama4", .n_layer = 4}, {3}, true, false},
      {"qwen3next", {.architecture = "qwen3next", .n_layer = 4}, odd, false, true},
      {"qwen35", {.architecture = "qwen35", .n_layer = 4}, odd, false, true},
      {"qwen35moe", {.architecture = "qwen35moe", .n_layer = 4}, odd, false, true},
      {"lfm2", {.architecture = "lfm2", .n_layer = 4}, odd, false, true},
      {"granitehybrid", {.architecture = "granitehybrid", .n_layer = 4}, even, false, true},
      {"falcon_h1", {.architecture = "falcon-h1"}, all(3), false, true},
      {"nemotron_h", {.architecture = "nemotron_h", .n_layer = 6}, {0, 3}, false, true},
      {"jamba", {.architecture = "jamba", .n_layer = 4}, even, false, true},
      {"kimi_linear", {.architecture = "kimi-linear", .n_layer = 4, .n_head_kv = 1}, even, false, true},
  };
  return models;
}

std::vector<NamedModel> refused_models() {
  return {
      {"mamba", {.architecture = "mamba"}},
      {"bert", {.architecture = "bert", .n_head_kv = 4}},
      {"t5", {.architecture = "t5", .n_head_kv = 4}},
      {"bloom", {.architecture = "bloom", .n_head_kv = 4}},
  };
}

}  // namespace chunkkv::test
