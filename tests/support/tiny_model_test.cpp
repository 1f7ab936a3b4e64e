#include "tiny_model.h"

#include <ggml-backend.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace chunkkv::test {
namespace {

using ModelPointer = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using ContextPointer = std::unique_ptr<llama_context, decltype(&llama_free)>;

const std::string kText = "The quick brown fox jumps over the lazy dog, 42 times; then it sleeps.";

ModelPointer load_by_engine(const TinyModel& what) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = 0;
  return {llama_model_load_from_file(write_tiny_model(what, tiny_folder()).c_str(), params),
          llama_model_free};
}

llama_context_params context_params() {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 512;
  params.n_ubatch = 64;
  params.n_threads = params.n_threads_batch = 1;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  return params;
}

ContextPointer open(llama_model* model, const llama_context_params& params) {
  return {llama_init_from_model(model, params), llama_free};
}

std::vector<llama_token> tokenize(const llama_model* model, const std::string& from) {
  std::vector<llama_token> tokens(from.size() + 8);
  const int n = llama_tokenize(llama_model_get_vocab(model), from.data(), int(from.size()), tokens.data(),
                               int(tokens.size()), true, false);
  tokens.resize(std::max(n, 0));
  return tokens;
}

/// 300 tokens of the same text over and over.
std::vector<llama_token> prompt(const llama_model* model) {
  std::string all;
  while (all.size() < 300) all += kText;
  std::vector<llama_token> tokens = tokenize(model, all);
  tokens.resize(300);
  return tokens;
}

/// Logits of every token, [n_tokens][n_vocab].
std::vector<std::vector<float>> all_logits(llama_context* context, const std::vector<llama_token>& tokens) {
  const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
  const auto n_tokens = std::int32_t(tokens.size());
  llama_batch batch = llama_batch_init(n_tokens, 0, 1);
  for (std::int32_t i = 0; i < n_tokens; ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  batch.n_tokens = n_tokens;
  std::vector<std::vector<float>> rows;
  if (llama_decode(context, batch) == 0) {
    for (std::int32_t i = 0; i < n_tokens; ++i) {
      const float* row = llama_get_logits_ith(context, i);
      rows.emplace_back(row, row + n_vocab);
    }
  }
  llama_batch_free(batch);
  return rows;
}

double deviation(const std::vector<float>& values) {
  double sum = 0;
  double squares = 0;
  for (const float value : values) sum += value;
  const double mean = sum / double(values.size());
  for (const float value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / double(values.size()));
}

/// Deviation of the difference of two rows over that of the first.
double change(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> difference(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return deviation(difference) / deviation(a);
}

void expect_lively(const std::vector<std::vector<float>>& logits, const std::vector<llama_token>& tokens) {
  ASSERT_EQ(logits.size(), tokens.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    for (const float value : logits[i]) ASSERT_TRUE(std::isfinite(value)) << "token " << i;
    EXPECT_GT(deviation(logits[i]), 0.3) << "token " << i;
    if (i > 0 && tokens[i] != tokens[i - 1]) {
      EXPECT_GT(change(logits[i - 1], logits[i]), 0.1) << "token " << i;
    }
  }
}

std::string name_of(const testing::TestParamInfo<NamedModel>& info) {
  return info.param.name;
}

// ---- models that chunkkv compresses ---------------------------------------------------------------

class Compressible : public testing::TestWithParam<NamedModel> {};
INSTANTIATE_TEST_SUITE_P(Tiny, Compressible, testing::ValuesIn(compressible_models()), name_of);

TEST_P(Compressible, DecodesToLivelyLogits) {
  const ModelPointer model = load_by_engine(GetParam().model);
  ASSERT_NE(model, nullptr);
  const ContextPointer context = open(model.get(), context_params());
  ASSERT_NE(context, nullptr);
  const std::vector<llama_token> tokens = prompt(model.get());
  expect_lively(all_logits(context.get(), tokens), tokens);
}

// What follows a prompt depends on its beginning, so that a test notices tokens that went missing.
TEST_P(Compressible, RemembersTheBeginning) {
  const ModelPointer model = load_by_engine(GetParam().model);
  ASSERT_NE(model, nullptr);
  std::vector<llama_token> tokens = prompt(model.get());
  const ContextPointer context = open(model.get(), context_params());
  const std::vector<float> before = all_logits(context.get(), tokens).back();
  for (int i = 10; i < 100; ++i) tokens[i] = 3 + (tokens[i] * 7 + i) % 250;
  llama_memory_clear(llama_get_memory(context.get()), true);
  const std::vector<float> after = all_logits(context.get(), tokens).back();
  EXPECT_GT(change(before, after), 0.05);
}

/// The largest attention weight that any head of a layer gives to one entry, by layer, for the last query.
struct Peaks {
  std::vector<float> by_layer;

  static bool observe(ggml_tensor* tensor, bool ask, void* self) {
    if (std::strncmp(tensor->name, "kq_soft_max-", 12) != 0) return !ask;
    if (!ask) {
      std::vector<float> weights(std::size_t(ggml_nelements(tensor)));  // [head][query][entry]
      ggml_backend_tensor_get(tensor, weights.data(), 0, ggml_nbytes(tensor));
      const std::int64_t n_entries = tensor->ne[0];
      float peak = 0;
      for (std::int64_t head = 0; head < tensor->ne[2]; ++head) {
        const float* row = weights.data() + (head * tensor->ne[1] + tensor->ne[1] - 1) * n_entries;
        peak = std::max(peak, *std::max_element(row, row + n_entries));
      }
      static_cast<Peaks*>(self)->by_layer.push_back(peak);
    }
    return true;
  }
};

TEST_P(Compressible, AttentionHasPeaks) {
  const ModelPointer model = load_by_engine(GetParam().model);
  ASSERT_NE(model, nullptr);
  Peaks peaks;
  llama_context_params params = context_params();
  params.n_ubatch = 300;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.cb_eval = Peaks::observe;
  params.cb_eval_user_data = &peaks;
  const ContextPointer context = open(model.get(), params);
  ASSERT_EQ(all_logits(context.get(), prompt(model.get())).size(), 300U);
  ASSERT_EQ(peaks.by_layer.size(), GetParam().model.n_layer);
  for (const float peak : peaks.by_layer) {
    EXPECT_GT(peak, 10.0F / 300);  // ten times the average
    EXPECT_LT(peak, 0.99F);
  }
}

TEST_P(Compressible, TokenizesOneTokenAByte) {
  const ModelPointer model = load_by_engine(GetParam().model);
  ASSERT_NE(model, nullptr);
  const std::vector<llama_token> tokens = tokenize(model.get(), kText);
  ASSERT_EQ(tokens.size(), kText.size() + 1);
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  EXPECT_EQ(tokens.front(), llama_vocab_bos(vocab));
  EXPECT_TRUE(llama_vocab_is_eog(vocab, llama_vocab_eos(vocab)));

  std::string back(kText.size() + 16, '\0');
  const int n = llama_detokenize(vocab, tokens.data() + 1, int(tokens.size()) - 1, back.data(),
                                 int(back.size()), false, false);
  back.resize(std::max(n, 0));
  EXPECT_EQ(back, kText);
}

// Head dimensions that 64 divides are Hadamard-rotated in quantised caches.
class CacheTypes : public testing::TestWithParam<std::tuple<ggml_type, NamedModel>> {};
INSTANTIATE_TEST_SUITE_P(Tiny, CacheTypes,
                         testing::Combine(testing::Values(GGML_TYPE_F32, GGML_TYPE_BF16, GGML_TYPE_Q8_0,
                                                          GGML_TYPE_Q4_0),
                                          testing::ValuesIn(compressible_models())),
                         [](const auto& both) {
                           return std::string(ggml_type_name(std::get<0>(both.param))) + "_" +
                                  std::get<1>(both.param).name;
                         });

TEST_P(CacheTypes, LogitsStayNearThoseOfAnF16Cache) {
  const auto& [type, named] = GetParam();
  TinyModel what = named.model;
  what.head_dim = 64;
  const ModelPointer model = load_by_engine(what);
  ASSERT_NE(model, nullptr);
  llama_context_params params = context_params();
  const std::vector<llama_token> tokens = prompt(model.get());
  const std::vector<std::vector<float>> expected = all_logits(open(model.get(), params).get(), tokens);
  params.type_k = params.type_v = type;
  const ContextPointer context = open(model.get(), params);
  ASSERT_NE(context, nullptr);
  const std::vector<std::vector<float>> logits = all_logits(context.get(), tokens);
  expect_lively(logits, tokens);

  double mean = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) mean += change(expected[i], logits[i]) / 300;
  const double allowed = type == GGML_TYPE_Q4_0 ? 0.5 : type == GGML_TYPE_F32 ? 0.01 : 0.05;
  EXPECT_LT(mean, allowed);
}

// ---- models that chunkkv refuses ------------------------------------------------------------------

class Refused : public testing::TestWithParam<NamedModel> {};
INSTANTIATE_TEST_SUITE_P(Tiny, Refused, testing::ValuesIn(refused_models()), name_of);

TEST_P(Refused, RunsInLlama) {
  const ModelPointer model = load_by_engine(GetParam().model);
  ASSERT_NE(model, nullptr);
  const bool is_bert = GetParam().model.architecture == "bert";
  const bool encodes = is_bert || llama_model_has_encoder(model.get());
  llama_context_params params = context_params();
  params.embeddings = is_bert;
  if (encodes) params.n_ubatch = 300;  // an encoder sees all tokens at once
  const ContextPointer context = open(model.get(), params);
  ASSERT_NE(context, nullptr);

  std::vector<llama_token> tokens = prompt(model.get());
  if (encodes) {
    ASSERT_EQ(llama_encode(context.get(), llama_batch_get_one(tokens.data(), int(tokens.size()))), 0);
  }
  if (is_bert) {
    const float* embedding = llama_get_embeddings_seq(context.get(), 0);
    ASSERT_NE(embedding, nullptr);
    for (int i = 0; i < llama_model_n_embd(model.get()); ++i) ASSERT_TRUE(std::isfinite(embedding[i]));
  } else {
    expect_lively(all_logits(context.get(), tokens), tokens);
  }
}

// ---- files ----------------------------------------------------------------------------------------

/// What is written into a new folder.
std::string bytes(const TinyModel& what) {
  const std::filesystem::path folder = tiny_folder() / "new";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  std::ifstream file(write_tiny_model(what, folder), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(TinyModel, SameFieldsGiveTheSameBytes) {
  const std::string first = bytes({});
  EXPECT_GT(first.size(), 1000U);
  EXPECT_EQ(first, bytes({}));
  EXPECT_NE(first, bytes({.seed = 2}));
}

TEST(TinyModel, F16MatricesStayClose) {
  const ModelPointer full = load_by_engine({});
  const ModelPointer half = load_by_engine({.f16 = true});
  ASSERT_NE(half, nullptr);
  EXPECT_LT(llama_model_size(half.get()), llama_model_size(full.get()) * 6 / 10);
  const auto a = all_logits(open(full.get(), context_params()).get(), prompt(full.get()));
  const auto b = all_logits(open(half.get(), context_params()).get(), prompt(half.get()));
  EXPECT_LT(change(a.back(), b.back()), 0.05);
  EXPECT_GT(change(a.back(), b.back()), 0.0);
}

TEST(TinyModel, RejectsFieldsThatNoModelHas) {
  EXPECT_THROW(write_tiny_model({.architecture = "nonsense"}, tiny_folder()), std::invalid_argument);
  EXPECT_THROW(write_tiny_model({.architecture = "qwen2", .n_embd = 96}, tiny_folder()),
               std::invalid_argument);
  EXPECT_THROW(write_tiny_model({.n_head_kv = 3}, tiny_folder()), std::invalid_argument);
  EXPECT_THROW(write_tiny_model({.n_vocab = 100}, tiny_folder()), std::invalid_argument);
  EXPECT_THROW(write_tiny_model({}, tiny_folder() / "missing"), std::runtime_error);
}

TEST(TinyModel, EveryArchitectureIsInOneOfTheLists) {
  std::vector<NamedModel> models = compressible_models();
  const std::vector<NamedModel> refused = refused_models();
  models.insert(models.end(), refused.begin(), refused.end());
  for (const MixedModel& parts : mixed_models()) models.push_back({parts.name, parts.model});
  for (const std::string& name : tiny_architectures()) {
    EXPECT_TRUE(std::any_of(models.begin(), models.end(), [&](const NamedModel& named) {
      return named.model.architecture == name;
    })) << name;
  }
}

}  // namespace
}  // namespace chunkkv::test
