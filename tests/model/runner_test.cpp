// Whole evaluation runs: their lines, shards, and runs that are stopped and go on.
#include "runner/runner.h"

#include <chunkkv/error.h>

#include "support/eval_samples.h"
#include "unit/expect_throw.h"

#include <gtest/gtest.h>

#include <map>

namespace chunkkv::eval {
namespace {

using namespace test;
using Texts = std::vector<std::string>;

class FakeSamples : public Samples {
 public:
  explicit FakeSamples(std::vector<Sample> samples) : samples_(std::move(samples)) {}
  std::size_t size() const override { return samples_.size(); }
  Sample at(std::size_t index) const override {
    if (samples_[index].id == "broken") throw BrokenRecord("'fake.jsonl', line 3: no answers");
    return samples_[index];
  }

 private:
  std::vector<Sample> samples_;
};

class FakeBenchmark : public Benchmark {
 public:
  std::unique_ptr<Samples> samples(const Tokenizer&) const override { return nullptr; }
  Score score(const Sample&, std::size_t question, std::string_view answer) const override {
    return {double(answer.size() % 7) / 7, {{"question", double(question) / 10}}};
  }
};

struct Finished {
  std::vector<Json> lines;
  Survey survey;
  std::vector<std::string> notes;
  bool stopped = false;
};

/// Runs what the lines in `known` do not answer yet; stops after `n_lines` new lines.
Finished run(const std::vector<Sample>& samples, const std::vector<Plan>& plans,
             const std::vector<Json>& known, std::size_t n_lines = SIZE_MAX,
             const RunnerOptions& options = {.max_tokens = 4096}, const SweepOptions& sweep_options = {}) {
  Finished run;
  KnownScores scores;
  for (const Json& line : known) scores.emplace(result_key(line), line.at("score").get<double>());
  const FakeBenchmark benchmark;
  const FakeSamples fakes(samples);
  Sweep all = sweep(plans, sweep_options);
  RunEvents events;
  events.note = [&](const std::string& note) { run.notes.push_back(note); };
  events.progress = [&](const RunState& state) {
    EXPECT_LE(state.share, 1.0 + 1e-9);
    return run.lines.size() < n_lines;
  };
  RunFacts facts;
  facts.setting.benchmark = "fake";
  Runner runner(benchmark, fakes, all, facts, options, events);
  run.survey = runner.survey(scores);
  try {
    runner.run(run.survey, scores, [&](const Json& line) { run.lines.push_back(line); });
  } catch (const Interrupted&) {
    run.stopped = true;
  }
  return run;
}

std::vector<Sample> four_samples(Random& random) {
  return {sample(random, "a", 40), sample(random, "b", 25, 3), sample(random, "c", 30),
          sample(random, "d", 50, 2)};
}

/// The lines by key, without their times.
std::map<std::string, Json> by_key(const std::vector<Json>& lines) {
  std::map<std::string, Json> all;
  for (Json line : lines) {
    const std::string key = result_key(line);
    line.erase("ms");
    EXPECT_TRUE(all.emplace(key, std::move(line)).second) << "twice: " << key;
  }
  return all;
}

TEST(Runner, GoesOnAfterAnyInterruptionAsIfThereHadBeenNone) {
  Random random;
  const auto samples = four_samples(random);
  const std::vector<Plan> plans = make_pairs(Texts{"full", "snapkv:window=8", "knorm"}, Texts{"50%", "20%"});
  const Finished whole = run(samples, plans, {});
  EXPECT_FALSE(whole.stopped);
  EXPECT_EQ(whole.lines.size(), 7 * plans.size());
  for (int round = 0; round < 3; ++round) {
    std::vector<Json> lines;
    for (bool done = false; !done;) {
      const Finished part = run(samples, plans, lines, std::size_t(random.integer(1, 12)));
      EXPECT_EQ(part.survey.n_missing, whole.lines.size() - lines.size());
      lines.insert(lines.end(), part.lines.begin(), part.lines.end());
      done = part.lines.empty();
    }
    EXPECT_EQ(by_key(lines), by_key(whole.lines));
  }
}

TEST(Runner, ShardsTogetherAreTheWhole) {
  Random random;
  const auto samples = four_samples(random);
  const std::vector<Plan> plans = make_pairs(Texts{"full", "knorm"}, Texts{"20%"});
  std::vector<Json> lines;
  for (std::size_t i = 0; i < 3; ++i) {
    const Finished part = run(samples, plans, {}, SIZE_MAX, {.shard = {i, 3}, .max_tokens = 4096});
    lines.insert(lines.end(), part.lines.begin(), part.lines.end());
  }
  EXPECT_EQ(by_key(lines), by_key(run(samples, plans, {}).lines));
}

TEST(Runner, AddsMethodsToWhatIsKnown) {
  Random random;
  const auto samples = four_samples(random);
  const Finished few = run(samples, make_pairs(Texts{"full", "knorm"}, Texts{"20%"}), {});
  const std::vector<Plan> plans = make_pairs(Texts{"full", "knorm", "snapkv:window=8"}, Texts{"20%", "50%"});
  const Finished more = run(samples, plans, few.lines);
  std::vector<Json> lines = few.lines;
  lines.insert(lines.end(), more.lines.begin(), more.lines.end());
  EXPECT_EQ(by_key(lines), by_key(run(samples, plans, {}).lines));
}

/// A question is asked anew where anything differs that may change an answer or its score, and only there.
TEST(Runner, RunsAnewWhatDiffersInItsData) {
  Random random;
  const Sample first = sample(random, "a", 40, 2);
  const std::vector<Plan> plans = make_pairs(Texts{"full", "knorm"}, Texts{"20%"});
  const Finished known = run({first}, plans, {});
  ASSERT_EQ(known.lines.size(), 4U);
  std::vector<Sample> others(9, first);
  others[0].document += ".";
  others[1].questions[0].text += "?";
  others[2].questions[1].text += "?";
  others[3].questions[1].references = {"another answer"};
  others[4].chat_template = !first.chat_template;
  others[5].max_new_tokens += 1;
  others[6].stops = {"x"};
  others[7].classes = {"x"};
  others[8].document.pop_back();
  for (std::size_t i = 0; i < others.size(); ++i)
    EXPECT_EQ(run({others[i]}, plans, known.lines, 0).survey.n_missing, 4U) << i;

  Sample same = first;
  same.source = "another file";
  same.group = first.group;
  EXPECT_EQ(run({same}, plans, known.lines).survey.n_missing, 0U);
  // With -n the benchmark's own length of answers does not matter.
  const Finished longer = run({first}, plans, {}, SIZE_MAX, {.max_tokens = 4096}, {.n_predict = 5});
  EXPECT_EQ(run({others[5]}, plans, longer.lines, 0, {.max_tokens = 4096}, {.n_predict = 5}).survey.n_missing,
            0U);
  // A context window that cuts answers short makes other lines; where none is cut, its size does not matter.
  EXPECT_EQ(run({first}, plans, known.lines, 0, {.max_tokens = 2048}).survey.n_missing, 0U);
  const auto n_prompt = known.lines.front()["prompt_tokens"].get<std::int32_t>();
  EXPECT_EQ(run({first}, plans, known.lines, 0, {.max_tokens = n_prompt + 1}).survey.n_missing, 4U);
}

TEST(Runner, CountsRecordsOfOneIdAndNamesCopies) {
  Random random;
  std::vector<Sample> samples = {sample(random, "a", 30), sample(random, "a", 30)};
  const std::vector<Plan> plans = make_pairs(Texts{"full"}, {});
  EXPECT_EQ(by_key(run(samples, plans, {}).lines).size(), 2U);
  samples.push_back(samples[0]);
  samples[0].source = "'x.jsonl', line 1";
  samples[2].source = "'x.jsonl', line 3";
  expect_mentions(message_of<BrokenRecord>([&] { run(samples, plans, {}); }),
                  {"x.jsonl', line 1", "x.jsonl', line 3"});
  const Finished without = run(samples, plans, {}, SIZE_MAX, {.skip_broken = true, .max_tokens = 4096});
  EXPECT_EQ(without.lines.size(), 2U);
  ASSERT_EQ(without.survey.broken.size(), 1U);
}

TEST(Runner, TellsBrokenRecordsBeforeItRuns) {
  Random random;
  auto samples = four_samples(random);
  samples[2].id = "broken";
  const std::vector<Plan> plans = make_pairs(Texts{"full"}, {});
  expect_mentions(message_of<BrokenRecord>([&] { run(samples, plans, {}); }), {"fake.jsonl", "line 3"});
  const Finished without = run(samples, plans, {}, SIZE_MAX, {.skip_broken = true, .max_tokens = 4096});
  EXPECT_EQ(without.survey.broken, Texts{"'fake.jsonl', line 3: no answers"});
  EXPECT_EQ(without.lines.size(), 6U);
}

TEST(Runner, RefusesPromptsLongerThanTheWindow) {
  Random random;
  expect_mentions(message_of<UsageError>([&] {
                    run({sample(random, "long", 60)}, make_pairs(Texts{"full"}, {}), {}, SIZE_MAX,
                        {.max_tokens = 200});
                  }),
                  {"sample long", "--max-length", "200"});
}

TEST(Runner, ShrinksWindowsForShortPromptsAndSaysSo) {
  Random random;
  const std::vector<Sample> samples = {sample(random, "short", 8), sample(random, "long", 60)};
  const std::vector<Plan> plans = make_pairs(Texts{"full", "snapkv:window=20"}, Texts{"10%"});
  const Finished result = run(samples, plans, {});
  EXPECT_EQ(result.lines.size(), 4U);
  ASSERT_EQ(result.survey.small_windows.size(), 1U);
  std::size_t n_small = 0;
  for (const Json& line : result.lines) {
    const std::int32_t budget = line["prompt_tokens"].get<std::int32_t>() / 10;
    const bool is_small = line["method"] != "full" && budget < 40;
    EXPECT_EQ(line.contains("window"), is_small) << line;
    if (!is_small) continue;
    ++n_small;
    EXPECT_EQ(line["window"], std::max(1, budget / 2));
    EXPECT_EQ(line["kept_tokens"], budget);
  }
  EXPECT_EQ(result.survey.small_windows.at(1).n_samples, n_small);
  expect_mentions(result.survey.small_windows.at(1).first_example, {"sample short"});
}

TEST(Runner, LeavesOutWhatDoesNotFitIntoTheCellsAndSaysSo) {
  Random random;
  const std::vector<Sample> samples = {sample(random, "short", 8), sample(random, "long", 60)};
  const Finished pieces = run(samples, make_pairs(Texts{"knorm"}, Texts{"90%", "30"}), {}, SIZE_MAX,
                              {.max_tokens = 4096}, {.n_cells = 150});
  EXPECT_EQ(pieces.notes.size(), 1U);
  expect_mentions(pieces.notes.at(0), {"knorm at 90%", "sample long"});
  EXPECT_EQ(pieces.lines.size(), 3U);
}

TEST(Runner, WritesTheLineThatOthersRead) {
  Random random;
  std::vector<Sample> samples = {sample(random, "a", 40, 2)};
  samples[0].facts = {{"depth", 0.25}, {"length", 4000}};
  const Finished result = run(samples, make_pairs(Texts{"knorm"}, Texts{"20%"}), {});
  ASSERT_EQ(result.lines.size(), 2U);
  const Json& line = result.lines[1];
  EXPECT_EQ(line.begin().key(), "benchmark");
  EXPECT_EQ(line["benchmark"], "fake");
  EXPECT_EQ(line["task"], "task");
  EXPECT_EQ(line["group"], "group");
  EXPECT_EQ(line["id"], "a");
  EXPECT_EQ(line["question"], 1);
  EXPECT_EQ(line["data"].get<std::string>().size(), 16U);
  EXPECT_EQ(line["data"], result.lines[0]["data"]);
  EXPECT_EQ(line["method"], "knorm");
  EXPECT_EQ(line["keep"], "20%");
  EXPECT_EQ(line["query"], "aware");
  EXPECT_EQ(line["cells"], 0);
  EXPECT_EQ(line["length"].dump(), "4000");
  EXPECT_EQ(line["depth"], 0.25);
  EXPECT_EQ(line["prompt_tokens"], samples[0].prompt().size() + 1);  // one token for each byte, and BOS
  EXPECT_EQ(line["kept_tokens"], (samples[0].prompt().size() + 1) / 5);
  EXPECT_EQ(line["score"], double(line["answer"].get<std::string>().size() % 7) / 7);
  EXPECT_EQ(line["metrics"]["question"], 0.1);
  EXPECT_EQ(line["bytes"]["before"].get<int>() / line["prompt_tokens"].get<int>(),
            line["bytes"]["after"].get<int>() / line["kept_tokens"].get<int>());
  for (const char* name : {"prefill", "observe", "select", "move", "restore", "first_token", "per_token"})
    EXPECT_TRUE(line["ms"].contains(name)) << name;
}

}  // namespace
}  // namespace chunkkv::eval
