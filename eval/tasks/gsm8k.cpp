#include "scorers/scorers.h"
#include "tasks/list.h"
#include "tasks/math_examples.h"
#include "tasks/random.h"
#include "tasks/sample_list.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

namespace chunkkv::eval {
namespace {

namespace fs = std::filesystem;

/// Token limits of an answer: after worked examples, whose answers are short, and of a free chain of thought.
constexpr std::int32_t kWorkedTokens = 256, kFreeTokens = 1024;
constexpr std::int32_t kManyShots = 50;

JsonLines open_records(const fs::path& folder, const char* name) {
  const fs::path file = folder / name;
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    throw UsageError(
        fmt::format("'{}' has no {}; give GSM8K's folder (JSONL files) with --data", folder.string(), name));
  }
  return JsonLines(file);
}

/// "Q: ...\nA:"
std::string open_prompt(const std::string& question) {
  return fmt::format("Q: {}\nA:", question);
}

/// The question and the request to explain every step, for a chat model that is given no examples.
std::string chain_of_thought_prompt(const std::string& question) {
  return question +
         "\n\nSolve this step by step: explain every step in full sentences, check each result, and end with "
         "\"The answer is N.\"";
}

/// "Q: ...\nA: ... The answer is 3.\n\n" for each example.
std::string worked_prompt(const std::vector<MathExample>& examples) {
  std::string prompt;
  for (const MathExample& example : examples) {
    prompt += fmt::format("{} {} The answer is {}.\n\n", open_prompt(example.question), example.reasoning,
                          example.answer);
  }
  return prompt;
}

std::vector<MathExample> few_examples(const Options& options) {
  std::vector<MathExample> all = chain_of_thought_examples(options.data);
  const auto n = std::size_t(options.shots.value_or(std::int32_t(all.size())));
  if (n > all.size())
    throw UsageError(
        fmt::format("there are {} worked examples, and {} are wanted; use fewer shots, or gsm8k-manyshot",
                    all.size(), n));
  all.resize(n);
  return all;
}

/// The same examples of the training set before every problem: they are the prompt that is compressed.
std::vector<MathExample> many_examples(const Options& options) {
  const JsonLines records = open_records(options.data, "train.jsonl");
  const auto n = std::size_t(options.shots.value_or(kManyShots));
  if (records.size() < n) {
    throw UsageError(fmt::format("train.jsonl has {} records, and {} examples are wanted; use fewer shots",
                                 records.size(), n));
  }
  std::vector<MathExample> result;
  Random random(options.seed, "gsm8k-manyshot");
  for (const std::size_t i : random.choose(n, records.size())) result.push_back(math_example(records.at(i)));
  return result;
}

/// Grade-school word problems (arXiv 2110.14168) after worked examples, or in the model's chat template where
/// there are none. The two benchmarks differ only in the examples.
class Gsm8k final : public Benchmark {
 public:
  Gsm8k(Options options, bool many_shot) : options_(std::move(options)), many_shot_(many_shot) {
    if (many_shot && options_.shots == 0)
      throw UsageError("gsm8k-manyshot needs at least one example; see gsm8k for none");
  }

  std::unique_ptr<Samples> samples(const Tokenizer&) const override {
    const JsonLines records = open_records(options_.data, "test.jsonl");
    const std::string prompt = worked_prompt(many_shot_ ? many_examples(options_) : few_examples(options_));
    auto list = std::make_unique<SampleList>();
    list->add(records.size(), options_.limit, [this, records, prompt](std::size_t i) {
      const Record record = records.at(i);
      const MathExample problem = math_example(record);
      Sample sample;
      sample.id = fmt::format("test-{}", i);
      sample.task = sample.group = many_shot_ ? "gsm8k-manyshot" : "gsm8k";
      sample.source = record.source();
      const bool worked = !prompt.empty();
      const std::string asked =
          worked ? open_prompt(problem.question) : chain_of_thought_prompt(problem.question);
      sample.document = prompt;
      sample.questions = {{asked, {problem.answer}}};
      sample.chat_template = !worked;
      sample.max_new_tokens = worked ? kWorkedTokens : kFreeTokens;
      if (worked) sample.stops = {"Q:"};
      return sample;
    });
    return list;
  }

  Score score(const Sample& sample, std::size_t question, std::string_view answer) const override {
    const std::string& right = sample.questions.at(question).references.front();
    const double flexible = flexible_math_answer(answer, right);
    return {flexible, {{"flexible", flexible}, {"strict", strict_math_answer(answer, right)}}};
  }

  std::vector<std::string> notes() const override {
    if (many_shot_ || options_.shots == 0 || has_original_examples(options_.data)) return {};
    return {
        fmt::format("'{}' has no prompt_original.txt: the worked examples are our own, so scores differ from "
                    "published ones",
                    options_.data.string())};
  }

 private:
  Options options_;
  bool many_shot_;
};

}  // namespace

BenchmarkInfo gsm8k_benchmark() {
  return {"gsm8k",
          "GSM8K, 8 worked examples unless told otherwise (arXiv 2110.14168, 2201.11903)",
          "test.jsonl of GSM8K; prompt_original.txt for the paper's examples",
          {"gsm8k"},
          [](const Options& options) { return std::make_unique<Gsm8k>(options, false); }};
}

BenchmarkInfo gsm8k_manyshot_benchmark() {
  return {"gsm8k-manyshot",
          "GSM8K after many examples of the training set, 50 unless told otherwise",
          "test.jsonl and train.jsonl of GSM8K",
          {"gsm8k-manyshot"},
          [](const Options& options) { return std::make_unique<Gsm8k>(options, true); }};
}

}  // namespace chunkkv::eval
