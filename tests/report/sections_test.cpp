#include "lines.h"
#include "report/report.h"
#include "unit/expect_throw.h"

#include <chunkkv/error.h>

#include <gtest/gtest.h>

namespace chunkkv::report {
namespace {

using chunkkv::test::expect_mentions;
using chunkkv::test::message_of;
using test::answer;

AnswerSection section_of(const std::vector<Answer>& answers, const std::string& baseline = "chunkkv") {
  std::vector<const Answer*> pointers;
  for (const Answer& each : answers) pointers.push_back(&each);
  return answer_section(pointers, baseline);
}

double mean(const Table& table, std::size_t row, std::size_t column) {
  return table.rows.at(row).cells.at(column)->mean.value;
}

TEST(AnswerSection, AveragesByTaskTypeAndOverall) {
  std::vector<Answer> answers;
  const auto add = [&](const char* group, const char* task, const char* id, double full, double chunkkv) {
    answers.push_back(
        answer({.group = group, .task = task, .id = id, .method = "full", .keep = "100%"}, full));
    answers.push_back(answer({.group = group, .task = task, .id = id}, chunkkv));
  };
  add("few-shot", "trec", "1", 1, 0.5);
  add("few-shot", "trec", "2", 0, 0);
  add("few-shot", "samsum", "1", 0.4, 0.4);
  add("single-document QA", "qasper", "1", 0.6, 0.3);
  const AnswerSection section = section_of(answers);

  EXPECT_EQ(section.n_samples, 4u);
  EXPECT_EQ(section.prompt_tokens, 100);
  EXPECT_EQ(section.groups.columns,
            (std::vector<std::string>{"single-document QA", "few-shot", "score, average of 3 tasks"}));
  EXPECT_EQ(section.group_tasks,
            (std::vector<std::string>{"qasper", "samsum, trec", "qasper, samsum, trec"}));
  ASSERT_EQ(section.groups.rows.size(), 2u);
  EXPECT_EQ(section.groups.rows[0].pair.method, "full");
  EXPECT_DOUBLE_EQ(mean(section.groups, 0, 1), (0.5 + 0.4) / 2);
  EXPECT_DOUBLE_EQ(mean(section.groups, 0, 2), (0.6 + 0.5 + 0.4) / 3);
  EXPECT_DOUBLE_EQ(mean(section.groups, 1, 2), (0.3 + 0.25 + 0.4) / 3);
  EXPECT_DOUBLE_EQ(section.groups.rows[1].cells[2]->share->value, 0.95 / 1.5);
  EXPECT_EQ(section.tasks.columns, (std::vector<std::string>{"qasper", "samsum", "trec"}));
  EXPECT_DOUBLE_EQ(mean(section.tasks, 1, 2), 0.25);
  EXPECT_TRUE(section.metrics.empty());
  EXPECT_TRUE(section.lengths.empty());
  EXPECT_TRUE(section.questions.empty());
}

TEST(AnswerSection, LeadsAreOverTheBaselineWithTheSameBudget) {
  std::vector<Answer> answers;
  for (const char* keep : {"10%", "20%"})
    for (const char* id : {"1", "2"}) {
      const double bonus = keep[0] == '1' ? 0 : 0.25;
      answers.push_back(answer({.id = id, .keep = keep}, 0.5 + bonus));
      answers.push_back(answer({.id = id, .method = "snapkv", .keep = keep}, 0.25 + 2 * bonus));
    }
  const AnswerSection section = section_of(answers);
  EXPECT_EQ(section.baseline, "chunkkv");
  std::map<std::string, double> leads;
  for (const Row& row : section.groups.rows) {
    EXPECT_EQ(row.cells.back()->lead.has_value(), row.pair.method == "snapkv");
    if (row.cells.back()->lead) leads[row.pair.keep] = row.cells.back()->lead->value;
  }
  EXPECT_EQ(leads, (std::map<std::string, double>{{"10%", -0.25}, {"20%", 0}}));
  EXPECT_EQ(section_of(answers, "h2o").baseline, "");
}

TEST(AnswerSection, BucketsLongBenchEByWords) {
  std::vector<Answer> answers;
  for (const auto& [id, words, score] : std::vector<std::tuple<std::string, double, double>>{
           {"a", 3999, 0.1}, {"b", 4000, 0.2}, {"c", 7999, 0.4}, {"d", 8000, 0.8}}) {
    Answer& added = answers.emplace_back(answer({.benchmark = "longbench-e", .id = id}, score));
    added.length = words;
  }
  const Table lengths = section_of(answers).lengths;
  ASSERT_EQ(lengths.columns.size(), 3u);
  EXPECT_DOUBLE_EQ(mean(lengths, 0, 0), 0.1);
  EXPECT_DOUBLE_EQ(mean(lengths, 0, 1), 0.3);
  EXPECT_DOUBLE_EQ(mean(lengths, 0, 2), 0.8);
}

TEST(AnswerSection, SeparatesQuestionsAndMetrics) {
  std::vector<Answer> answers;
  for (const std::int64_t question : {0, 1, 10}) {
    Answer& added = answers.emplace_back(answer({.benchmark = "multiturn"}, double(question) / 10));
    added.sample.question = question;
    added.metrics = {{"strict", 1 - double(question) / 10}};
  }
  const AnswerSection section = section_of(answers);
  EXPECT_EQ(section.n_samples, 3u);
  EXPECT_EQ(section.questions.columns, (std::vector<std::string>{"question 1", "question 2", "question 11"}));
  EXPECT_DOUBLE_EQ(mean(section.questions, 0, 1), 0.1);
  EXPECT_EQ(section.metrics.columns, (std::vector<std::string>{"strict"}));
  EXPECT_DOUBLE_EQ(mean(section.metrics, 0, 0), 1.9 / 3);
  EXPECT_FALSE(section.groups.rows[0].cells[0]->mean.interval);  // one document
}

TEST(AnswerSection, SaysWhoJudged) {
  Answer own = answer({.benchmark = "jailbreakv"}, 1);
  own.metrics = {{"refusal_phrases", 1}};
  EXPECT_EQ(section_of({own}).groups.columns.back(), "safe rate (proxy)");
  own.metrics["judge"] = 1;
  EXPECT_EQ(section_of({own}).groups.columns.back(), "safe rate (judge)");
}

TEST(AnswerSection, UndecidedAnswersCountNowhere) {
  const auto judged = [](std::string id, double score, bool undecided) {
    Answer line = answer({.benchmark = "jailbreakv", .id = std::move(id)}, score);
    line.metrics["judge"] = score;
    line.undecided = undecided;
    return line;
  };
  const AnswerSection section =
      section_of({judged("1", 1, false), judged("2", 0, true), judged("3", 0, true)});
  EXPECT_EQ(section.n_samples, 1u);
  EXPECT_EQ(section.groups.rows.front().cells.back()->mean.value, 1);
  EXPECT_EQ(section.n_undecided, 2u);
  EXPECT_NE(note_on(section).find("Undecided by the judge: 2"), std::string::npos);
  const AnswerSection none = section_of({judged("2", 0, true)});
  EXPECT_TRUE(none.groups.empty());
  EXPECT_EQ(none.n_undecided, 1u);
}

TEST(AnswerSection, MapsNeedles) {
  std::vector<Answer> answers;
  const auto add = [&](std::string id, double length, double depth, double score) {
    Answer& added = answers.emplace_back(
        answer({.benchmark = "niah", .group = "single", .task = "single", .id = std::move(id)}, score));
    added.length = length;
    added.depth = depth;
  };
  add("a", 4000, 0, 1);
  add("b", 4000, 0, 0);
  add("c", 1000, 1, 1);
  const auto grids = section_of(answers).needles;
  ASSERT_EQ(grids.size(), 1u);
  EXPECT_EQ(grids[0].variant, "single");
  EXPECT_EQ(grids[0].lengths, (std::vector<double>{1000, 4000}));
  EXPECT_EQ(grids[0].depths, (std::vector<double>{0, 1}));
  ASSERT_EQ(grids[0].maps.size(), 1u);
  const std::vector<std::vector<std::optional<double>>> expected = {{std::nullopt, 0.5}, {1.0, std::nullopt}};
  EXPECT_EQ(grids[0].maps[0].scores, expected);
  EXPECT_DOUBLE_EQ(grids[0].maps[0].mean, 2.0 / 3);
}

TEST(FidelitySection, AveragesFiguresAndLayers) {
  Fidelity a = test::fidelity("1", "chunkkv", "10%", 0.25), b = test::fidelity("2", "chunkkv", "10%", 0.75);
  a.figures["top1"] = 0.5;
  a.kv_l1_layers = {0.25, 0.5}, b.kv_l1_layers = {0.75, 0.5};
  a.similarity = {{1, 0.5}, {0.5, 1}};
  const Fidelity* lines[] = {&a, &b};
  const FidelitySection section = fidelity_section(lines, "chunkkv");
  EXPECT_EQ(section.n_samples, 2u);
  EXPECT_EQ(section.keys, (std::vector<std::string>{"kl", "top1"}));
  EXPECT_DOUBLE_EQ(mean(section.figures, 0, 0), 0.5);
  EXPECT_DOUBLE_EQ(mean(section.figures, 0, 1), 0.5);
  ASSERT_EQ(section.layers.size(), 1u);
  EXPECT_EQ(section.layers[0].kv_l1, (std::vector<double>{0.5, 0.5}));
  EXPECT_TRUE(section.layers[0].attention_cosine.empty());
  EXPECT_EQ(section.layers[0].similarity, a.similarity);

  b.kv_l1_layers = {0.5};
  expect_mentions(message_of<Error>([&] { fidelity_section(lines, "chunkkv"); }), {"2 and 1", "model_hash"});
}

TEST(SpeedSection, OtherSettingsAreASectionOfTheirOwn) {
  ResultReader reader;
  for (const char* settings : {"", R"("settings":"no-fast-prefill",)", R"("settings":"ub=64",)"})
    reader.read("perf.jsonl",
                std::string(R"({"benchmark":"perf","method":"h2o","keep":"10%","input":4096,)") + settings +
                    R"("machine":"M","output":100,"repetition":1,"ms":{"total":1000}})");
  const Report report = make_report(reader.results());
  ASSERT_EQ(report.models.size(), 1u);
  std::vector<std::string> machines;
  for (const SpeedSection& section : report.models.front().speed) machines.push_back(section.machine);
  EXPECT_EQ(machines, (std::vector<std::string>{"M", "M, no-fast-prefill", "M, ub=64"}));
}

TEST(SpeedSection, GivesMediansAndExtremes) {
  const std::vector<Speed> lines = {test::speed("full", "100%", 0, 9), test::speed("full", "100%", 1, 5),
                                    test::speed("full", "100%", 2, 6), test::speed("h2o", "10%", 0, 2),
                                    test::speed("h2o", "10%", 1, 4)};
  std::vector<const Speed*> pointers;
  for (const Speed& line : lines) pointers.push_back(&line);
  const SpeedSection section = speed_section(pointers);
  EXPECT_EQ(section.machine, "a machine");
  ASSERT_EQ(section.rows.size(), 2u);
  EXPECT_EQ(section.rows[0].n_repetitions, 3u);
  const Spread& odd = section.rows[0].figures.at("total");
  EXPECT_EQ(odd.median, 6);
  EXPECT_EQ(odd.min, 5);
  EXPECT_EQ(odd.max, 9);
  EXPECT_EQ(section.rows[1].figures.at("total").median, 3);
}

Results results_of(const std::vector<Answer>& answers) {
  Results results;
  results.answers = answers;
  results.n_lines = std::int64_t(answers.size());
  return results;
}

TEST(Report, NeverMixesModelsAndSettings) {
  std::vector<Answer> answers(5, answer({}, 0.5));
  answers[1].setting.max_length = 7500;
  answers[2].setting.query_aware = false;
  answers[3].setting.others = "n=16";
  answers[4].origin = test::origin("tiny.gguf", "99999999aa");
  const Report report = make_report(results_of(answers));
  ASSERT_EQ(report.models.size(), 2u);
  EXPECT_EQ(report.models[0].answers.size(), 4u);
  EXPECT_EQ(report.models[0].name, "tiny.gguf (1234)");
  EXPECT_EQ(report.models[1].name, "tiny.gguf (99999999)");
  EXPECT_EQ(report.models[1].answers.size(), 1u);
  EXPECT_EQ(describe(answers[1].setting), "Question read before compression, prompts up to 7,500 tokens");
}

TEST(Report, BoundedPrefillIsComparedWithTheUnboundedFullCache) {
  std::vector<Answer> answers = {answer({.method = "full", .keep = "100%"}, 1), answer({}, 0.5)};
  answers[0].setting.others = "n=16";
  answers[1].setting.cells = 2048;
  answers[1].setting.others = "n=16 observer=window";
  Report report = make_report(results_of(answers));
  ASSERT_EQ(report.models[0].answers.size(), 1u);
  const Table& groups = report.models[0].answers[0].groups;
  ASSERT_EQ(groups.rows.size(), 2u);
  EXPECT_EQ(groups.rows[1].cells[0]->share->value, 0.5);

  answers[0].setting.others = "n=32";  // differs in more than bounded prefill
  report = make_report(results_of(answers));
  EXPECT_EQ(report.models[0].answers.size(), 2u);
}

TEST(Report, NeedsLines) {
  expect_mentions(message_of<Error>([] { make_report({}); }), {"hold no line", "chunkkv eval"});
}

}  // namespace
}  // namespace chunkkv::report
