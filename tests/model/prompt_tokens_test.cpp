// A model's tokenizer as benchmarks use it, and the prompts that are made with it.
#include "runner/prompt_tokens.h"

#include "eval/support.h"
#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <algorithm>
#include <memory>

namespace chunkkv::eval {
namespace {

using chunkkv::test::tiny_folder;
using chunkkv::test::TinyModel;
using chunkkv::test::write_tiny_model;
using test::Folder;
using test::sentences;

constexpr Token kBos = 1;  // of the tiny models
constexpr const char* kTemplate =
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}</turn>{% "
    "endfor %}";

/// Models with tokenizers like Llama 3's and Llama 2's, without and with a template that writes BOS itself.
std::vector<std::shared_ptr<Model>> models() {
  std::vector<std::shared_ptr<Model>> all;
  for (const TinyModel& what :
       {TinyModel{}, TinyModel{.space_prefix = true}, TinyModel{.chat_template = kTemplate},
        TinyModel{.space_prefix = true, .chat_template = kTemplate}})
    all.push_back(Model::load(write_tiny_model(what, tiny_folder())));
  return all;
}

/// Expects that decoding gives `text` back, of all tokens and of two parts, as `Tokenizer` promises.
void expect_gives_text_back(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<Token> tokens = tokenizer.encode(text);
  const std::span<const Token> all = tokens;
  EXPECT_EQ(tokenizer.decode(all), text);
  // No cut is between BOS and the blank that some tokenizers put after it.
  for (std::size_t cut = 2; cut <= all.size(); ++cut)
    EXPECT_EQ(tokenizer.decode(all.first(cut)) + tokenizer.decode(all.subspan(cut)), text) << cut;
}

TEST(ModelTokenizer, GivesTextBackWithoutSpecialTokens) {
  chunkkv::test::Random random;
  const std::vector<std::string> parts = {"a", " ",   "  ",   "\n", "Zürich", "東京",
                                          "🚂", "<s>", "</s>", "é",  "."};
  for (const auto& model : models()) {
    const ModelTokenizer tokenizer(*model);
    EXPECT_EQ(tokenizer.encode("x").front(), kBos);
    for (int round = 0; round < 30; ++round) {
      std::string text;
      for (int n = random.integer(0, 12); n > 0; --n)
        text += parts[std::size_t(random.integer(0, int(parts.size()) - 1))];
      expect_gives_text_back(tokenizer, text);
      expect_gives_text_back(test::ByteTokenizer(), text);  // which the other tests use
    }
  }
}

/// Writes every benchmark's files, with texts that are longer than the longest prompt.
void write_data(const Folder& folder) {
  const std::string text = sentences(60);
  std::string escaped;
  for (const char c : text) escaped += c == '\n' ? std::string("\\n") : std::string(1, c);
  for (const char* name : {"hotpotqa.jsonl", "trec.jsonl", "hotpotqa_e.jsonl"})
    folder.write(
        name, R"({"_id": "1", "input": "Where?", "answers": ["here"], "all_classes": ["a"], "context": ")" +
                  escaped + "\"}\n");
  folder.write("test.jsonl", R"({"question": "Two and two?", "answer": "2 + 2 = 4\n#### 4"})");
  folder.write("train.jsonl", R"({"question": "One and one?", "answer": "1 + 1 = 2\n#### 2"})");
  folder.write("book.txt", text);
  folder.write("attacks.csv", "id,jailbreak_query,redteam_query,format\n0,\"" + text + "\",harm,Logic\n");
}

TEST(PromptTokens, HaveOneBosInEveryBenchmark) {
  const Folder folder;
  write_data(folder);
  Options options;
  options.data = folder.path();
  options.max_length = 900;
  options.needle = {.lengths = {900}, .depths = {0, 0.5, 1}, .needles = 2};
  options.questions = 2;
  const auto n_bos = [](const std::vector<Token>& tokens) {
    return std::count(tokens.begin(), tokens.end(), kBos);
  };
  for (const auto& model : models()) {
    const ModelTokenizer tokenizer(*model);
    for (const BenchmarkInfo& info : benchmarks()) {
      options.shots = info.name == "gsm8k-manyshot" ? 1 : 8;
      const auto benchmark = make_benchmark(info.name, options);
      const auto samples = benchmark->samples(tokenizer);
      ASSERT_GT(samples->size(), 0u);
      for (std::size_t i = 0; i < samples->size(); ++i) {
        const Sample sample = samples->at(i);
        SCOPED_TRACE(info.name + ", " + sample.task);
        const PromptTokens tokens(*model, sample, true);
        EXPECT_EQ(n_bos(tokens.whole()), 1);
        EXPECT_EQ(n_bos(tokens.document()), 1);
        EXPECT_EQ(n_bos(tokens.question(0)), 0);
        if (sample.questions.size() > 1) {
          EXPECT_EQ(n_bos(tokens.turn("An answer.", 1)), 0);
        }
      }
    }
  }
}

}  // namespace
}  // namespace chunkkv::eval
