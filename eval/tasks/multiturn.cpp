#include "data/files.h"
#include "data/jsonl.h"
#include "data/text.h"
#include "scorers/scorers.h"
#include "tasks/list.h"
#include "tasks/longbench_files.h"
#include "tasks/longbench_tasks.h"
#include "tasks/needles.h"
#include "tasks/sample_list.h"
#include "tasks/truncate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace chunkkv::eval {
namespace {

constexpr const char* kKeyValue = "key-value";
constexpr std::array<const char*, 6> kRecordTasks = {"narrativeqa", "qasper",   "multifieldqa_en",
                                                     "hotpotqa",    "2wikimqa", "musique"};
constexpr const char* kIntroduction = "Read this text; questions about it follow.\n\n";
constexpr const char* kGap = "\n\n";

std::string ask(const std::string& question) {
  return fmt::format("Answer this question about the text. Give the answer alone.\n\nQuestion: {}\nAnswer:",
                     question);
}

/// Several questions on one document, which is compressed once, before the later questions are known.
class MultiTurn final : public Benchmark {
 public:
  explicit MultiTurn(Options options) : options_(std::move(options)) {}

  std::unique_ptr<Samples> samples(const Tokenizer& tokenizer) const override {
    auto list = std::make_unique<SampleList>();
    for (const char* name : kRecordTasks) add_records(*list, name, tokenizer);
    const bool has_texts = !files_of(options_.data, ".txt").empty();
    if (options_.tasks.empty() ? has_texts : options_.wants(kKeyValue)) add_key_values(*list, tokenizer);
    if (list->size() == 0) {
      throw UsageError(
          fmt::format("'{}' has neither LongBench's QA files, as hotpotqa.jsonl, nor text files (*.txt); "
                      "give such a folder with --data",
                      options_.data.string()));
    }
    return list;
  }

  Score score(const Sample& sample, std::size_t question, std::string_view answer) const override {
    const std::vector<std::string>& references = sample.questions.at(question).references;
    if (sample.task == kKeyValue) return {substring_share(answer, references), {}};
    return {longbench_score(longbench_task(sample.task), answer, references, {}), {}};
  }

 private:
  void add_records(SampleList& list, const std::string& name, const Tokenizer& tokenizer) const {
    const auto file = longbench_records(options_, name);
    if (!file) return;
    const JsonLines records(*file);
    const auto n = std::size_t(options_.questions);
    list.add((records.size() + n - 1) / n, options_.limit,
             [this, name, records, n, &tokenizer](std::size_t i) {
               return join_records(longbench_task(name), records, i * n,
                                   std::min((i + 1) * n, records.size()), tokenizer);
             });
  }

  /// Joins the records' contexts into one document, each of them once and with an equal share of the tokens.
  Sample join_records(const LongBenchTask& task, const JsonLines& records, std::size_t begin, std::size_t end,
                      const Tokenizer& tokenizer) const {
    Sample sample;
    sample.task = task.name;
    sample.group = "multiturn";
    sample.max_new_tokens = task.max_new_tokens;
    std::vector<std::string> contexts;
    for (std::size_t i = begin; i < end; ++i) {
      const Record record = records.at(i);
      if (i == begin) {
        sample.id = record.id("_id");
        sample.source = record.source();
      }
      std::string context = record.text("context");
      if (std::find(contexts.begin(), contexts.end(), context) == contexts.end())
        contexts.push_back(std::move(context));
      sample.questions.push_back({ask(record.text("input")), record.texts("answers")});
    }
    std::string& first = sample.questions.front().text;
    first = kGap + first;

    std::int32_t share = 0;
    if (options_.max_length > 0) {
      const std::size_t left = haystack_tokens(options_.max_length, kIntroduction + first, 2, tokenizer);
      share = std::max(std::int32_t(left / contexts.size()) - kHeadingTokens, 2);
    }
    sample.document = kIntroduction;
    for (std::size_t i = 0; i < contexts.size(); ++i) {
      std::string rest;
      truncate_middle(contexts[i], rest, share, tokenizer);
      sample.document += fmt::format("{}Document {}\n{}", i == 0 ? "" : "\n\n", i + 1, contexts[i]);
    }
    return sample;
  }

  void add_key_values(SampleList& list, const Tokenizer& tokenizer) const {
    const auto text = std::make_shared<const std::string>(read_texts(options_.data));
    const std::vector<std::int32_t> lengths = needle_lengths(options_);
    const auto repeats = std::size_t(options_.needle.repeats);
    list.add(lengths.size() * repeats, options_.limit,
             [this, text, lengths, repeats, &tokenizer](std::size_t i) {
               return hide_pairs(*text, lengths[i / repeats], i % repeats, tokenizer);
             });
  }

  Sample hide_pairs(const std::string& text, std::int32_t length, std::size_t repeat,
                    const Tokenizer& tokenizer) const {
    Sample sample;
    sample.id = fmt::format("{}-{}-{}", kKeyValue, length, repeat);
    sample.task = kKeyValue;
    sample.group = "multiturn";
    sample.source = fmt::format("'{}', {}", options_.data.string(), sample.id);
    sample.max_new_tokens = 50;
    sample.facts = {{"length", length}};

    Random random(options_.seed, sample.id);
    std::vector<Needle> needles;
    std::string others = kIntroduction;
    for (const KeyValue& pair : random_pairs(std::max(options_.questions, options_.needle.needles), random)) {
      needles.push_back({pair.sentence(), double(random.below(1000)) / 1000});
      others += pair.sentence() + ' ';
      if (sample.questions.size() < std::size_t(options_.questions))
        sample.questions.push_back(pair.question());
    }
    std::string& first = sample.questions.front().text;
    first = kGap + first;
    const std::size_t n_tokens = haystack_tokens(length, others + first, needles.size() + 2, tokenizer);
    const std::string haystack = cut_haystack(text, random.below(text.size()), n_tokens, tokenizer);
    sample.document = kIntroduction + hide(haystack, needles, tokenizer);
    return sample;
  }

  static constexpr std::int32_t kHeadingTokens = 8;  ///< at most, for "Document 1" with its line breaks

  Options options_;
};

}  // namespace

BenchmarkInfo multiturn_benchmark() {
  BenchmarkInfo info{"multiturn",
                     "several questions on one document, which is compressed once",
                     "LongBench's QA files (hotpotqa.jsonl, ...), text files (*.txt), or both",
                     {kRecordTasks.begin(), kRecordTasks.end()},
                     [](const Options& options) { return std::make_unique<MultiTurn>(options); }};
  info.tasks.emplace_back(kKeyValue);
  return info;
}

}  // namespace chunkkv::eval
