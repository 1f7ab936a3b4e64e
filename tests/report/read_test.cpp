#include "report/results.h"
#include "unit/expect_throw.h"

#include <chunkkv/error.h>

#include <gtest/gtest.h>

#include <string>

namespace chunkkv::report {
namespace {

using chunkkv::test::expect_mentions;
using chunkkv::test::message_of;

const std::string kAnswer =
    R"({"benchmark":"niah","task":"single","group":"single","id":"4000-0.5","question":2,"method":"chunkkv:reuse=2",)"
    R"("keep":"0.1","prompt_tokens":4010,"kept_tokens":401,"answer":"…","score":0.5,"metrics":{"words":0.75,"judge":null},)"
    R"("query":"agnostic","cells":2048,"length":4000,"depth":0.5,"max_length":7500,"seed":3,"settings":"n=16",)"
    R"("model":"m.gguf","model_hash":"ab","version":"0.2.0","machine":"here","key of tomorrow":[1]})";

/// `text` with the first `from` in it replaced.
std::string with(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

Results read(const std::string& text) {
  ResultReader reader;
  reader.read("r.jsonl", text);
  return reader.results();
}

TEST(ResultReader, ReadsAnswers) {
  const Results results = read(kAnswer + "\n");
  ASSERT_EQ(results.answers.size(), 1u);
  const Answer& answer = results.answers.front();
  EXPECT_EQ(
      answer.setting,
      (Setting{
          .benchmark = "niah", .query_aware = false, .cells = 2048, .max_length = 7500, .others = "n=16"}));
  EXPECT_EQ(answer.sample.group, "single");
  EXPECT_EQ(answer.sample.id, "4000-0.5");
  EXPECT_EQ(answer.sample.question, 2);
  EXPECT_EQ(answer.pair, (Pair{"chunkkv:reuse=2", "10%"}));  // a budget is always written alike
  EXPECT_EQ(answer.score, 0.5);
  EXPECT_EQ(answer.metrics, (std::map<std::string, double>{{"words", 0.75}}));
  EXPECT_EQ(answer.length, 4000);
  EXPECT_EQ(answer.depth, 0.5);
  EXPECT_EQ(answer.origin.model_hash, "ab");
  EXPECT_EQ(answer.origin.seed, 3);
}

TEST(ResultReader, AnUndecidedAnswerNeedsNoScore) {
  const std::string line = with(kAnswer, R"("score":0.5)", R"("score":null,"undecided":"who knows")");
  EXPECT_TRUE(read(line).answers.front().undecided);
  EXPECT_FALSE(read(kAnswer).answers.front().undecided);
  expect_mentions(message_of<Error>([] { read(with(kAnswer, R"("score":0.5)", R"("score":null)")); }),
                  {"score"});
}

TEST(ResultReader, AsksOnlyForWhatItNeeds) {
  const Results results =
      read(R"({"benchmark":"x","task":"t","id":7,"method":"full","keep":"100%","score":1})");
  ASSERT_EQ(results.answers.size(), 1u);
  EXPECT_EQ(results.answers.front().setting, Setting{.benchmark = "x"});
  EXPECT_EQ(results.answers.front().sample.id, "7");
  EXPECT_EQ(results.answers.front().sample.group, "t");
}

TEST(ResultReader, ReadsFidelity) {
  const Results results = read(
      R"({"benchmark":"fidelity","task":"t","id":"1","method":"tova","keep":"512","kl":0.25,"top1":0.5,"kv_l1":null,)"
      R"("kv_l1_layers":[0.1,0.2],"similarity":[[1,0.5],[0.5,1]]})");
  ASSERT_EQ(results.fidelity.size(), 1u);
  const Fidelity& line = results.fidelity.front();
  EXPECT_EQ(line.figures, (std::map<std::string, double>{{"kl", 0.25}, {"top1", 0.5}}));
  EXPECT_EQ(line.kv_l1_layers, (std::vector<double>{0.1, 0.2}));
  EXPECT_EQ(line.similarity, (std::vector<std::vector<double>>{{1, 0.5}, {0.5, 1}}));
}

TEST(ResultReader, SplitsTheLatency) {
  // 100 tokens: 99 after the first took 2 ms each, reading took 1000 - 198 - 31 ms.
  const Results results = read(
      R"({"benchmark":"perf","method":"h2o","keep":"10%","input":4096,"output":100,"repetition":1,)"
      R"("ms":{"observe":20,"select":1,"move":10,"per_token":2,"total":1000},"bytes":{"after":77,"gpu":5}})");
  ASSERT_EQ(results.speed.size(), 1u);
  EXPECT_EQ(results.speed.front().figures, (std::map<std::string, double>{{"compression", 31},
                                                                          {"answering", 198},
                                                                          {"reading", 771},
                                                                          {"per_token", 2},
                                                                          {"total", 1000},
                                                                          {"cache", 77},
                                                                          {"gpu", 5}}));
}

TEST(ResultReader, TheFirstLineOfAMeasurementCounts) {
  const std::string again = with(kAnswer, R"("score":0.5)", R"("score":1)");
  ResultReader reader;
  reader.read("a", kAnswer + "\n\n" + kAnswer);
  reader.read("b", again);
  const Results& results = reader.results();
  ASSERT_EQ(results.answers.size(), 1u);
  EXPECT_EQ(results.answers.front().score, 0.5);  // as in `eval merge`
  EXPECT_EQ(results.n_lines, 3);
  EXPECT_EQ(results.n_repeated, 2);
  EXPECT_EQ(results.files, (std::vector<std::string>{"a", "b"}));
}

TEST(ResultReader, TellsDataApartAndForgetsLinesThatDoNotTellTheirs) {
  const std::string one = with(kAnswer, R"("question":2)", R"("question":2,"data":"01")");
  const std::string two =
      with(with(one, R"("data":"01")", R"("data":"02")"), R"("score":0.5)", R"("score":1)");
  EXPECT_EQ(read(one + "\n" + two).answers.size(), 2u);
  for (const std::string& text :
       {kAnswer + "\n" + two, two + "\n" + kAnswer, kAnswer + "\n" + two + "\n" + kAnswer + "\n" + two}) {
    const Results results = read(text);
    ASSERT_EQ(results.answers.size(), 1u);
    EXPECT_EQ(results.answers.front().score, 1);
    EXPECT_EQ(results.answers.front().sample.data, "02");
    EXPECT_EQ(results.n_repeated, results.n_lines - 1);
  }
}

TEST(ResultReader, TakesWhatPythonWritesAndPowerCutsLeave) {
  const std::string python = with(kAnswer, R"("answer":"…")", R"("answer":"\ud83d","kl":NaN)");
  const std::string zeros(40, '\0');
  EXPECT_EQ(read(python + " \r\n\n \t\n" + zeros).answers.size(), 1u);
  EXPECT_EQ(read(zeros + python + zeros + "\n" + zeros + "\n").answers.size(), 1u);
}

TEST(ResultReader, TellsMeasurementsApart) {
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"niah\"", "\"other\""},
                                                        {R"("task":"single")", R"("task":"double")"},
                                                        {"4000-0.5", "4000-0.6"},
                                                        {R"("question":2)", R"("question":3)"},
                                                        {"reuse=2", "reuse=3"},
                                                        {R"("keep":"0.1")", R"("keep":"0.2")"},
                                                        {"\"ab\"", "\"cd\""},
                                                        {"agnostic", "aware"},
                                                        {R"("cells":2048)", R"("cells":0)"},
                                                        {"7500", "3500"},
                                                        {R"("seed":3)", R"("seed":4)"},
                                                        {"n=16", "n=32"}}) {
    EXPECT_EQ(read(kAnswer + "\n" + with(kAnswer, from, to)).answers.size(), 2u) << to;
  }
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"m.gguf\"", "\"renamed.gguf\""}, {"\"here\"", "\"there\""}, {"0.2.0", "0.3.0"}}) {
    EXPECT_EQ(read(kAnswer + "\n" + with(kAnswer, from, to)).answers.size(), 1u) << to;
  }
}

TEST(ResultReader, NamesTheBrokenLine) {
  struct Case {
    std::string line;
    const char* said;
  };
  const std::string perf = R"({"benchmark":"perf","method":"h2o","keep":"10%","input":0,"output":9})";
  for (const Case& broken :
       {Case{"{\"benchmark\":", "not valid JSON"},
        {kAnswer.substr(0, 100), "not valid JSON"},
        {"[1]", "not a JSON object"},
        {with(kAnswer, "\"benchmark\"", "\"bench\""), "no text \"benchmark\""},
        {with(kAnswer, "\"single\"", "5"), "no text \"task\""},
        {with(kAnswer, R"("score":0.5)", R"("scores":0.5)"), "no \"score\""},
        {with(kAnswer, R"("score":0.5)", R"("score":50)"), "\"score\" is 50, not between 0 and 1"},
        {with(kAnswer, R"("score":0.5)", R"("score":"0.5")"), "\"score\" is not a number"},
        {with(kAnswer, R"("words":0.75)", R"("words":7.5)"), "\"words\" is 7.5"},
        {with(kAnswer, "\"agnostic\"", "\"unaware\""), "\"aware\" or \"agnostic\""},
        {with(kAnswer, R"("cells":2048)", R"("cells":-1)"), "\"cells\" is negative"},
        {with(kAnswer, R"("cells":2048)", R"("cells":0.5)"), "\"cells\" is not a whole number"},
        {with(kAnswer, "\"0.1\"", "\"1,5\""), "1,5"},
        {perf, "no \"input\" and \"output\""},
        {R"({"benchmark":"fidelity","task":"t","id":"1","method":"h2o","keep":"9","similarity":[[1],[1]]})",
         "\"similarity\" is not square"}}) {
    const std::string message =
        message_of<Error>([&] { read(kAnswer + "\n\n" + broken.line + "\n" + kAnswer); });
    expect_mentions(message, {"r.jsonl, line 3 is broken", broken.said, "remove the line"});
  }
}

}  // namespace
}  // namespace chunkkv::report
