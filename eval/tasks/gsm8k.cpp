#include "tasks/gsm8k.h"

#include "scorers/scorers.h"
#include "tasks/list.h"
#include "tasks/sample_list.h"

#include <fmt/format.h>

namespace chunkkv::eval {
namespace {

/// Token limits of an answer: after worked examples, whose answers are short, and of a free chain of thought.
constexpr std::int32_t kWorkedTokens = 256, kFreeTokens = 1024;

class Gsm8k final : public MathBenchmark {
 public:
  explicit Gsm8k(const Options& options) : MathBenchmark("gsm8k", options) {}

 protected:
  std::vector<MathExample> examples() const override {
    std::vector<MathExample> all = chain_of_thought_examples(options().data);
    const auto n = std::size_t(options().shots.value_or(std::int32_t(all.size())));
    if (n > all.size())
      throw UsageError(
          fmt::format("there are {} worked examples, and {} are wanted; use fewer shots, or "
                      "gsm8k-manyshot",
                      all.size(), n));
    all.resize(n);
    return all;
  }

 public:
  std::vector<std::string> notes() const override {
    if (options().shots == 0 || has_original_examples(options().data)) return {};
    return {
        fmt::format("'{}' has no prompt_original.txt: the worked examples are our own, so scores differ from "
                    "published ones",
                    options().data.string())};
  }
};

}  // namespace

std::unique_ptr<Samples> MathBenchmark::samples(const Tokenizer&) const {
  const JsonLines records = gsm8k_file(options_.data, "test.jsonl");
  auto list = std::make_unique<SampleList>();
  list->add(records.size(), options_.limit,
            [this, records, prompt = worked_prompt(examples())](std::size_t i) {
              const Record record = records.at(i);
              const MathExample problem = math_example(record);
              Sample sample;
              sample.id = fmt::format("test-{}", i);
              sample.task = sample.group = name_;
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

Score MathBenchmark::score(const Sample& sample, std::size_t question, std::string_view answer) const {
  const std::string& right = sample.questions.at(question).references.front();
  const double flexible = flexible_math_answer(answer, right);
  return {flexible, {{"flexible", flexible}, {"strict", strict_math_answer(answer, right)}}};
}

BenchmarkInfo gsm8k_benchmark() {
  return {"gsm8k",
          "GSM8K, 8 worked examples unless told otherwise (arXiv 2110.14168, 2201.11903)",
          "test.jsonl of GSM8K; prompt_original.txt for the paper's examples",
          {"gsm8k"},
          [](const Options& options) { return std::make_unique<Gsm8k>(options); }};
}

}  // namespace chunkkv::eval
