#include "eval/support.h"

#include <fmt/format.h>

#include <algorithm>

namespace chunkkv::eval {
namespace {

using test::expect_holds;
using test::Folder;
using test::message_of;
using test::sentences;
using test::WordTokenizer;

std::string record(int i, const std::string& context) {
  return fmt::format(
      R"({{"_id": "r{0}", "input": "Question {0}?", "context": "{1}", "answers": ["answer {0}"]}})"
      "\n",
      i, context);
}

TEST(MultiTurn, AsksSeveralRecordsQuestionsOnTheirDocuments) {
  const Folder folder;
  folder.write("qasper.jsonl", record(0, "First text.") + record(1, "Second text.") +
                                   record(2, "First text.") + record(3, "Third text."));
  Options options;
  options.data = folder.path();
  options.questions = 3;
  const auto benchmark = make_benchmark("multiturn", options);
  const WordTokenizer tokenizer;
  const auto samples = benchmark->samples(tokenizer);
  ASSERT_EQ(samples->size(), 2u);
  const Sample sample = samples->at(0);
  EXPECT_EQ(sample.id, "r0");
  EXPECT_EQ(sample.task, "qasper");
  EXPECT_EQ(sample.group, "multiturn");
  EXPECT_TRUE(sample.document.ends_with("Document 1\nFirst text.\n\nDocument 2\nSecond text."));
  ASSERT_EQ(sample.questions.size(), 3u);
  for (std::size_t q = 0; q < 3; ++q) {
    expect_holds(sample.questions[q].text, fmt::format("Question: Question {}?\nAnswer:", q));
    EXPECT_EQ(sample.questions[q].text.starts_with("\n\n"), q == 0);
    EXPECT_EQ(benchmark->score(sample, q, fmt::format("Answer {}.", q)).value, 1);
    EXPECT_EQ(benchmark->score(sample, q, "nothing").value, 0);
  }
  EXPECT_EQ(samples->at(1).questions.size(), 1u);
}

TEST(MultiTurn, LongDocumentsAreCutToEqualShares) {
  const Folder folder;
  std::string records;
  for (int i = 0; i < 4; ++i) {
    std::string context = fmt::format("begin{}", i);
    for (int w = 0; w < 500; ++w) context += fmt::format(" w{}", w);
    records += record(i, context + fmt::format(" end{}", i));
  }
  folder.write("hotpotqa.jsonl", records);
  Options options;
  options.data = folder.path();
  options.max_length = 400;
  const auto benchmark = make_benchmark("multiturn", options);
  const WordTokenizer tokenizer;
  const Sample sample = benchmark->samples(tokenizer)->at(0);
  const std::size_t length = tokenizer.encode(sample.prompt()).size();
  EXPECT_LE(length, 400u);
  EXPECT_GE(length, 350u);
  for (int i = 0; i < 4; ++i) {
    expect_holds(sample.document, fmt::format("begin{} w0 ", i));
    expect_holds(sample.document, fmt::format(" w499 end{}", i));
  }
  options.max_length = 20;
  const auto cramped = make_benchmark("multiturn", options);
  expect_holds(message_of<UsageError>([&] { cramped->samples(tokenizer)->at(0); }), "no room");
}

TEST(MultiTurn, HidesPairsAndAsksForEach) {
  const Folder folder;
  folder.write("book.txt", sentences(200));
  Options options;
  options.data = folder.path();
  options.questions = 5;
  options.needle = {.lengths = {800, 1200}, .needles = 9, .repeats = 3};
  const auto benchmark = make_benchmark("multiturn", options);
  const WordTokenizer tokenizer;
  const auto samples = benchmark->samples(tokenizer);
  ASSERT_EQ(samples->size(), 6u);
  for (std::size_t i = 0; i < samples->size(); ++i) {
    const Sample sample = samples->at(i);
    EXPECT_LE(double(tokenizer.encode(sample.prompt()).size()), sample.facts.at("length"));
    ASSERT_EQ(sample.questions.size(), 5u);
    std::size_t n_pairs = 0;
    for (std::size_t at = 0; (at = sample.document.find("The number on the ", at)) != std::string::npos; ++at)
      ++n_pairs;
    EXPECT_EQ(n_pairs, 9u);
    for (std::size_t q = 0; q < 5; ++q) {
      const std::string& value = sample.questions[q].references.front();
      expect_holds(sample.document, " is " + value + ".");
      EXPECT_EQ(benchmark->score(sample, q, "It is " + value).value, 1);
      EXPECT_EQ(benchmark->score(sample, (q + 1) % 5, "It is " + value).value, 0);
    }
  }
}

TEST(MultiTurn, MissingData) {
  const Folder folder;
  const WordTokenizer tokenizer;
  Options options;
  options.data = folder.path();
  const auto none = make_benchmark("multiturn", options);
  expect_holds(message_of<UsageError>([&] { none->samples(tokenizer); }), "neither LongBench's QA files");
  options.tasks = {"musique"};
  const auto named = make_benchmark("multiturn", options);
  expect_holds(message_of<UsageError>([&] { named->samples(tokenizer); }), "has no musique.jsonl");
}

TEST(Registry, NamesWhatThereIs) {
  std::vector<std::string> names;
  for (const BenchmarkInfo& info : benchmarks()) {
    names.push_back(info.name);
    EXPECT_FALSE(info.description.empty() || info.data.empty() || info.tasks.empty()) << info.name;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"longbench", "longbench-e", "niah", "gsm8k", "gsm8k-manyshot",
                                             "jailbreakv", "multiturn"}));
  expect_holds(message_of<UsageError>([] { make_benchmark("ruler", {}); }),
               "there is no benchmark 'ruler'; there are longbench, longbench-e, niah,");
  for (const std::string& name : names) {
    expect_holds(message_of<UsageError>([&] { make_benchmark(name, {.tasks = {"x"}}); }),
                 "has no task 'x'; it has ");
    expect_holds(message_of<UsageError>([&] { make_benchmark(name, {.limit = -1}); }), "limit");
  }
}

}  // namespace
}  // namespace chunkkv::eval
