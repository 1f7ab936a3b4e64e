#include "eval/support.h"
#include "scorers/scorers.h"
#include "tasks/longbench_tasks.h"
#include "tasks/truncate.h"
#include "unicode.h"

#include <fmt/format.h>

#include <random>
#include <set>

namespace chunkkv::eval {
namespace {

using test::ByteTokenizer;
using test::expect_holds;
using test::Folder;
using test::message_of;
using test::WordTokenizer;

std::string record(const std::string& id, const std::string& context, const std::string& input,
                   const std::string& answers = R"(["Paris"])", const std::string& classes = "null") {
  return fmt::format(R"({{"_id": "{}", "dataset": "x", "language": "en", "input": "{}", "context": "{}", )"
                     R"("answers": {}, "all_classes": {}, "length": 1234}})"
                     "\n",
                     id, input, context, answers, classes);
}

std::unique_ptr<Benchmark> longbench(const Folder& folder, Options options = {},
                                     const char* name = "longbench") {
  options.data = folder.path();
  return make_benchmark(name, options);
}

TEST(LongBench, ReadsThePromptsAndLengthsOfTheFolder) {
  const Folder folder;
  folder.write("hotpotqa.jsonl", record("a", "Some {input} passages.", "Where?"));
  folder.write("config/dataset2prompt.json",
               R"({"hotpotqa": "Read.\n{context}\nQuestion: {input}\nAnswer:"})");
  folder.write("config/dataset2maxlen.json", R"({"hotpotqa": 7})");
  const auto benchmark = longbench(folder);
  const ByteTokenizer tokenizer;
  const auto samples = benchmark->samples(tokenizer);
  ASSERT_EQ(samples->size(), 1u);
  const Sample sample = samples->at(0);
  EXPECT_EQ(sample.id, "a");
  EXPECT_EQ(sample.task, "hotpotqa");
  EXPECT_EQ(sample.group, "multi-document QA");
  EXPECT_EQ(sample.document, "Read.\nSome {input} passages.");
  EXPECT_EQ(sample.questions.front().text, "\nQuestion: Where?\nAnswer:");
  EXPECT_EQ(sample.prompt(), "Read.\nSome {input} passages.\nQuestion: Where?\nAnswer:");
  EXPECT_EQ(sample.max_new_tokens, 7);
  EXPECT_TRUE(sample.chat_template);
  EXPECT_EQ(sample.facts.at("length"), 1234);
  EXPECT_EQ(benchmark->score(sample, 0, "In Paris.").value, qa_f1("In Paris.", "Paris"));
}

TEST(LongBench, FindsPromptsOneLevelUpAndTellsOwnOnes) {
  const Folder folder;
  folder.write("data/hotpotqa.jsonl", record("a", "Passages.", "Where?"));
  folder.write("data/trec.jsonl", record("b", "Examples.", "Which?", R"(["x"])", R"(["x"])"));
  Options options;
  const auto document = [&](const std::filesystem::path& data) {
    options.data = data;
    const ByteTokenizer tokenizer;
    return make_benchmark("longbench", options)->samples(tokenizer)->at(0).document;
  };
  const auto notes = [&](const std::filesystem::path& data) {
    options.data = data;
    return make_benchmark("longbench", options)->notes();
  };
  const std::filesystem::path data = folder.path() / "data";
  ASSERT_EQ(notes(data).size(), 1u);
  expect_holds(notes(data)[0], "dataset2prompt.json is not found");
  expect_holds(notes(data)[0], "hotpotqa, trec");

  folder.write("config/dataset2prompt.json", R"({"hotpotqa": "Up: {context}\n{input}"})");
  std::filesystem::create_directory_symlink(data, folder.path() / "link");
  for (const char* name : {"data", "data/", "data/.", "link", "link/"})
    EXPECT_EQ(document(folder.path() / name), "Up: Passages.") << name;
  ASSERT_EQ(notes(data).size(), 1u);
  EXPECT_EQ(notes(data)[0].find("hotpotqa"), std::string::npos);
  expect_holds(notes(data)[0], "trec");

  folder.write("data/dataset2prompt.json", R"({"hotpotqa": "Here: {context}", "trec": "{context}{input}"})");
  EXPECT_EQ(document(data), "Here: Passages.");
  EXPECT_TRUE(notes(data).empty());
}

TEST(LongBench, TakesNumbersForIds) {
  const Folder folder;
  folder.write("hotpotqa.jsonl",
               R"({"_id": 12, "input": "a", "context": "b", "answers": ["c"], "length": NaN})");
  const ByteTokenizer tokenizer;
  const auto benchmark = longbench(folder);
  const Sample sample = benchmark->samples(tokenizer)->at(0);
  EXPECT_EQ(sample.id, "12");
  EXPECT_FALSE(sample.facts.contains("length"));
}

TEST(LongBench, EveryTaskHasAPromptOfOurOwnAndItsRules) {
  const Folder folder;
  for (const LongBenchTask& task : longbench_tasks()) {
    folder.write("data/" + task.name + ".jsonl", record("id-" + task.name, "The context.", "The input.",
                                                        R"(["Paragraph 3", "Date"])", R"(["Date"])"));
  }
  const auto benchmark = longbench(folder);
  const WordTokenizer tokenizer;
  const auto samples = benchmark->samples(tokenizer);
  ASSERT_EQ(samples->size(), 16u);
  const std::set<std::string> plain = {"trec", "triviaqa", "samsum", "lcc", "repobench-p"};
  std::set<std::string> groups;
  for (std::size_t i = 0; i < samples->size(); ++i) {
    const Sample sample = samples->at(i);
    SCOPED_TRACE(sample.task);
    EXPECT_TRUE(sample.document.ends_with("The context."));
    const bool asks = longbench_task(sample.task).prompt.find("{input}") != std::string::npos;
    EXPECT_EQ(sample.questions.front().text.find("The input.") != std::string::npos, asks);
    EXPECT_EQ(sample.chat_template, !plain.contains(sample.task));
    EXPECT_EQ(sample.stops,
              sample.task == "samsum" ? std::vector<std::string>{"\n"} : std::vector<std::string>{});
    EXPECT_EQ(sample.classes.size(), sample.task == "trec" ? 1u : 0u);
    groups.insert(sample.group);
  }
  EXPECT_EQ(groups.size(), 6u);
}

TEST(LongBench, OfficialAnswerLengths) {
  for (const LongBenchTask& task : longbench_tasks()) {
    const std::map<std::string, std::int32_t> expected = {
        {"gov_report", 512}, {"qmsum", 512},     {"multi_news", 512},     {"narrativeqa", 128},
        {"qasper", 128},     {"samsum", 128},    {"multifieldqa_en", 64}, {"trec", 64},
        {"lcc", 64},         {"repobench-p", 64}};
    const auto found = expected.find(task.name);
    EXPECT_EQ(task.max_new_tokens, found == expected.end() ? 32 : found->second) << task.name;
  }
}

TEST(LongBench, TheBestReferenceCountsAndFewShotAnswersHaveOneLine) {
  const std::vector<std::string> references = {"blue", "red car"}, classes = {"Date", "City"};
  EXPECT_EQ(longbench_score(longbench_task("hotpotqa"), "red car", references, {}), 1);
  EXPECT_EQ(longbench_score(longbench_task("triviaqa"), "\nblue\nPassage: of other things", references, {}),
            1);
  EXPECT_LT(longbench_score(longbench_task("hotpotqa"), "\nblue\nPassage: of other things", references, {}),
            1);
  EXPECT_EQ(
      longbench_score(longbench_task("trec"), "\nDate\nCity", std::vector<std::string>{"Date"}, classes), 1);
  EXPECT_EQ(longbench_score(longbench_task("passage_retrieval_en"), "Paragraph 3",
                            std::vector<std::string>{"Paragraph 3"}, {}),
            1);
  EXPECT_EQ(longbench_score(longbench_task("passage_count"), "3 or 4", std::vector<std::string>{"4"}, {}),
            0.5);
}

TEST(LongBench, TasksLimitAndBrokenRecords) {
  const Folder folder;
  folder.write("qasper.jsonl", record("a", "c", "q") + "{\"_id\": \"b\"}\n" + record("c", "c", "q"));
  folder.write("hotpotqa.jsonl", record("d", "c", "q"));
  const WordTokenizer tokenizer;
  const auto benchmark = longbench(folder);
  const auto all = benchmark->samples(tokenizer);
  ASSERT_EQ(all->size(), 4u);
  expect_holds(message_of<BrokenRecord>([&] { all->at(1); }), "qasper.jsonl', line 2: \"context\"");
  EXPECT_EQ(all->at(2).id, "c");
  EXPECT_EQ(all->at(3).id, "d");

  const auto first = longbench(folder, {.limit = 1});
  EXPECT_EQ(first->samples(tokenizer)->size(), 2u);
  const auto named = longbench(folder, {.tasks = {"hotpotqa"}});
  EXPECT_EQ(named->samples(tokenizer)->at(0).id, "d");
  const auto missing = longbench(folder, {.tasks = {"lcc"}});
  expect_holds(message_of<UsageError>([&] { missing->samples(tokenizer); }), "has no lcc.jsonl");
  expect_holds(message_of<UsageError>([&] { longbench(folder, {.tasks = {"lsht"}}); }),
               "longbench has no task 'lsht'; it has narrativeqa,");
  const auto e = longbench(folder, {}, "longbench-e");
  expect_holds(message_of<UsageError>([&] { e->samples(tokenizer); }), "as hotpotqa_e.jsonl");
}

TEST(LongBench, TasksOfE) {
  const Folder folder;
  folder.write("qasper_e.jsonl", record("a", "c", "q"));
  folder.write("musique_e.jsonl", record("b", "c", "q"));  // not in LongBench-E
  const WordTokenizer tokenizer;
  const auto benchmark = longbench(folder, {}, "longbench-e");
  const auto samples = benchmark->samples(tokenizer);
  ASSERT_EQ(samples->size(), 1u);
  EXPECT_EQ(samples->at(0).task, "qasper");
  EXPECT_EQ(samples->at(0).facts.at("length"), 1234);
}

TEST(LongBench, WrongPromptFilesAreNamed) {
  const Folder folder;
  folder.write("hotpotqa.jsonl", record("a", "c", "q"));
  const WordTokenizer tokenizer;
  const auto benchmark = longbench(folder);
  const auto message = [&] { return message_of<UsageError>([&] { benchmark->samples(tokenizer); }); };
  folder.write("dataset2prompt.json", R"({"hotpotqa": "no document"})");
  expect_holds(message(), "dataset2prompt.json', \"hotpotqa\": the prompt must have {context}");
  folder.write("dataset2prompt.json", R"({"hotpotqa": "{context} {context}"})");
  expect_holds(message(), "once");
  folder.write("dataset2prompt.json", "[");
  expect_holds(message(), "dataset2prompt.json' is no JSON object");
  folder.write("dataset2prompt.json", "{}");
  folder.write("dataset2maxlen.json", R"({"hotpotqa": 0})");
  expect_holds(message(), "dataset2maxlen.json', \"hotpotqa\"");
}

TEST(Truncation, KeepsBothEndsAndTheQuestion) {
  const WordTokenizer tokenizer;
  std::string document = "one two three four five six", question = " seven eight";
  truncate_middle(document, question, 8, tokenizer);
  EXPECT_EQ(document + question, "one two three four five six seven eight");
  truncate_middle(document, question, 7, tokenizer);  // 3 from each end
  EXPECT_EQ(document, "one two three six");
  EXPECT_EQ(question, " seven eight");
}

TEST(Truncation, LongQuestionsAreCutToo) {
  const WordTokenizer tokenizer;
  std::string document = "one two three four", question = " five six seven eight";
  truncate_middle(document, question, 4, tokenizer);  // the question's beginning is gone
  EXPECT_EQ(document, "one two");
  EXPECT_EQ(question, " seven eight");
  document = "one", question = " two three four five six";
  truncate_middle(document, question, 4, tokenizer);  // the question begins in the first half
  EXPECT_EQ(document, "one");
  EXPECT_EQ(question, " two five six");
}

TEST(Truncation, BosCountsAsAToken) {
  const ByteTokenizer tokenizer;
  std::string document = "abcdefgh", question = "xy";  // 11 tokens
  truncate_middle(document, question, 8, tokenizer);
  EXPECT_EQ(document + "|" + question, "abcgh|xy");
}

/// Compares with a slow reference: the text is cut right at any character, and the question keeps its place.
TEST(Truncation, RandomTexts) {
  const std::uint32_t seed = 7;
  std::mt19937 random(seed);
  const ByteTokenizer tokenizer;
  const std::vector<std::string> pieces = {"a", "b ", "é", "東", "🚂", "\n"};
  const auto text = [&](std::size_t most) {
    std::string result;
    for (std::size_t n = random() % most; n > 0; --n) result += pieces[random() % pieces.size()];
    return result;
  };
  for (int i = 0; i < 3000; ++i) {
    const std::string document = text(40), question = text(20), whole = document + question;
    const auto most = std::int32_t(random() % 80 + 4);
    std::string d = document, q = question;
    truncate_middle(d, q, most, tokenizer);
    SCOPED_TRACE(fmt::format("seed {}, text {}, {} tokens: '{}' | '{}'", seed, i, most, document, question));
    ASSERT_EQ(find_invalid_utf8(d), std::string::npos);
    ASSERT_EQ(find_invalid_utf8(q), std::string::npos);
    if (whole.size() + 1 <= std::size_t(most)) {
      ASSERT_EQ(d, document);
      ASSERT_EQ(q, question);
      continue;
    }
    const std::size_t head = std::size_t(most) / 2 - 1, tail = std::size_t(most) / 2;
    const std::string first(without_cut_end(std::string_view(whole).substr(0, head)));
    const std::string last(without_cut_begin(std::string_view(whole).substr(whole.size() - tail)));
    ASSERT_EQ(d + q, first + last);
    if (question.size() <= last.size()) {
      ASSERT_EQ(q, question);
    } else {
      ASSERT_TRUE(q.ends_with(last));
      ASSERT_EQ(d, first.substr(0, std::min(first.size(), document.size())));
    }
  }
}

}  // namespace
}  // namespace chunkkv::eval
