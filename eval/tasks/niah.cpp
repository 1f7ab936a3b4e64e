#include "data/text.h"
#include "scorers/scorers.h"
#include "tasks/list.h"
#include "tasks/needles.h"
#include "tasks/sample_list.h"

#include <fmt/format.h>

#include <cmath>

namespace chunkkv::eval {
namespace {

constexpr const char* kBefore = "Read this text; a question about it follows.\n\n";
constexpr const char* kAfter = "\n\n";

struct GridPoint {
  std::int32_t length;
  double depth;
  std::int32_t repeat;
};

/// A needle in a haystack, and RULER's variants of it (arXiv 2404.06654), by length of the prompt and depth.
class Niah final : public Benchmark {
 public:
  explicit Niah(Options options) : options_(std::move(options)) {}

  std::unique_ptr<Samples> samples(const Tokenizer& tokenizer) const override {
    std::vector<GridPoint> points;
    for (const std::int32_t length : needle_lengths(options_)) {
      for (const double depth : needle_depths(options_.needle)) {
        for (std::int32_t repeat = 0; repeat < options_.needle.repeats; ++repeat)
          points.push_back({length, depth, repeat});
      }
    }

    const auto text = std::make_shared<const std::string>(read_texts(options_.data));
    auto list = std::make_unique<SampleList>();
    for (const NeedleVariant& variant : needle_variants()) {
      if (!options_.wants(variant.name)) continue;
      list->add(points.size(), options_.limit, [this, &variant, points, text, &tokenizer](std::size_t i) {
        return make_sample(variant, points[i], *text, tokenizer);
      });
    }
    return list;
  }

  Score score(const Sample& sample, std::size_t question, std::string_view answer) const override {
    const std::vector<std::string>& references = sample.questions.at(question).references;
    Score result{substring_share(answer, references), {}};
    if (sample.task == "single") {
      result.metrics["words"] = word_share(answer, references.front());
      result.metrics["rouge1"] = rouge_1(answer, references.front());
    }
    return result;
  }

 private:
  Sample make_sample(const NeedleVariant& variant, const GridPoint& point, const std::string& text,
                     const Tokenizer& tokenizer) const {
    Sample sample;
    sample.id = fmt::format("{}-{}-{}-{}", variant.name, point.length, point.depth, point.repeat);
    sample.task = sample.group = variant.name;
    sample.source = fmt::format("'{}', needle test {}", options_.data.string(), sample.id);
    sample.max_new_tokens = variant.max_new_tokens;
    sample.facts = {{"length", point.length}, {"depth", point.depth}};

    Random random(options_.seed, sample.id);
    const NeedleCase needles = variant.make(point.depth, options_.needle.needles, random);
    std::string others = kBefore + std::string(kAfter) + needles.question.text;
    for (const Needle& needle : needles.needles) others += needle.sentence + ' ';
    const std::size_t n_tokens = haystack_tokens(point.length, others, needles.needles.size() + 2, tokenizer);
    const std::string haystack = cut_haystack(text, random.below(text.size()), n_tokens, tokenizer);

    std::vector<double> reached;
    sample.document = kBefore + hide(haystack, needles.needles, tokenizer, &reached);
    sample.facts["reached_depth"] = std::round(reached.front() * 1e4) / 1e4;
    sample.questions = {{kAfter + needles.question.text, needles.question.references}};
    return sample;
  }

  Options options_;
};

}  // namespace

BenchmarkInfo niah_benchmark() {
  BenchmarkInfo info{"niah",
                     "needle in a haystack by length and depth, and RULER's variants (arXiv 2404.06654)",
                     "text files (*.txt) to hide needles in",
                     {},
                     {}};
  for (const NeedleVariant& variant : needle_variants()) info.tasks.push_back(variant.name);
  info.make = [](const Options& options) { return std::make_unique<Niah>(options); };
  return info;
}

}  // namespace chunkkv::eval
