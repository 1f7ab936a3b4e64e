#include "eval/support.h"
#include "scorers/scorers.h"
#include "tasks/math_examples.h"
#include "unicode.h"

#include <fmt/format.h>

#include <set>

namespace chunkkv::eval {
namespace {

using test::expect_holds;
using test::Folder;
using test::message_of;
using test::WordTokenizer;

std::string problem(int i) {
  return fmt::format(
      R"({{"question": "What is {0} + 1?", "answer": "It is {0} + 1 = <<{0}+1={1}>>{1}.\nDone.\n#### {1}"}})"
      "\n",
      i, i + 1);
}

std::string problems(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += problem(1000 + i);
  return text;
}

std::unique_ptr<Benchmark> make(const char* name, const Folder& folder, Options options = {}) {
  options.data = folder.path();
  return make_benchmark(name, options);
}

TEST(Gsm8k, PutsOurExamplesBeforeTheProblem) {
  const Folder folder;
  folder.write("test.jsonl", problems(3));
  const auto benchmark = make("gsm8k", folder);
  const WordTokenizer tokenizer;
  const auto samples = benchmark->samples(tokenizer);
  ASSERT_EQ(samples->size(), 3u);
  const Sample sample = samples->at(1);
  EXPECT_EQ(sample.id, "test-1");
  EXPECT_EQ(sample.questions.front().text, "Q: What is 1001 + 1?\nA:");
  EXPECT_EQ(sample.questions.front().references, std::vector<std::string>{"1002"});
  EXPECT_FALSE(sample.chat_template);
  EXPECT_EQ(sample.stops, std::vector<std::string>{"Q:"});
  std::size_t n_examples = 0;
  for (std::size_t at = 0; (at = sample.document.find("The answer is ", at)) != std::string::npos; ++at)
    ++n_examples;
  EXPECT_EQ(n_examples, 8u);

  const Score strict = benchmark->score(sample, 0, " 1001 + 1 = 1002. The answer is 1,002.\n\n");
  EXPECT_EQ(strict.value, 1);
  EXPECT_EQ(strict.metrics.at("strict"), 1);
  const Score flexible = benchmark->score(sample, 0, "So she has 1002 of them.");
  EXPECT_EQ(flexible.value, 1);
  EXPECT_EQ(flexible.metrics.at("strict"), 0);
  EXPECT_EQ(benchmark->score(sample, 0, "The answer is 1001.").value, 0);
}

TEST(Gsm8k, TakesFewerExamplesOrNone) {
  const Folder folder;
  folder.write("test.jsonl", problems(1));
  const WordTokenizer tokenizer;
  const auto sample = [&](std::int32_t shots) {
    return make("gsm8k", folder, {.shots = shots})->samples(tokenizer)->at(0);
  };
  const Sample none = sample(0), two = sample(2);
  EXPECT_EQ(none.document, "");
  EXPECT_TRUE(none.chat_template);
  EXPECT_TRUE(none.stops.empty());
  expect_holds(none.questions.front().text, "What is 1000 + 1?\n\nSolve this step by step");
  std::size_t n_examples = 0;
  for (std::size_t at = 0; (at = two.document.find("The answer is ", at)) != std::string::npos; ++at)
    ++n_examples;
  EXPECT_EQ(n_examples, 2u);
  expect_holds(message_of<UsageError>([&] { sample(9); }), "8 worked examples, and 9");
}

/// Every "a + b = c" in the reasoning holds, and the last number is the answer.
TEST(Gsm8k, OurExamplesAreRight) {
  const Folder folder;
  const std::vector<MathExample> examples = chain_of_thought_examples(folder.path());
  ASSERT_EQ(examples.size(), 8u);
  std::size_t n_equations = 0;
  for (const MathExample& example : examples) {
    std::string text = example.reasoning;
    std::erase(text, '$');
    EXPECT_TRUE(flexible_math_answer(text, example.answer)) << text;
    const std::vector<std::string> words = split_words(text);
    const auto is_number = [](const std::string& word) { return word[0] >= '0' && word[0] <= '9'; };
    for (std::size_t i = 3; i + 1 < words.size(); ++i) {
      if (words[i] != "=" || !is_number(words[i - 3]) || !is_number(words[i - 1])) continue;
      const double a = std::stod(words[i - 3]), b = std::stod(words[i - 1]), c = std::stod(words[i + 1]);
      ASSERT_EQ(words[i - 2].size(), 1u);
      const char sign = words[i - 2][0];
      EXPECT_NEAR(sign == '+' ? a + b : sign == '-' ? a - b : sign == '*' ? a * b : a / b, c, 1e-9) << text;
      ++n_equations;
    }
  }
  EXPECT_GE(n_equations, 16u);
}

TEST(Gsm8k, ReadsTheOriginalExamples) {
  const Folder folder;
  folder.write("test.jsonl", problem(1));
  folder.write("prompt_original.txt",
               "Question: Two and two?\nLet's think step by step\nTwo is 2.\n2 + 2 = 4.\nThe answer is 4.\n\n"
               "Question: Three?\r\nLet's think step by step\r\nThree.\r\nThe answer is 3.");
  const WordTokenizer tokenizer;
  const auto benchmark = make("gsm8k", folder);
  EXPECT_EQ(benchmark->samples(tokenizer)->at(0).document,
            "Q: Two and two?\nA: Two is 2. 2 + 2 = 4. The answer is 4.\n\nQ: Three?\nA: Three. The answer is "
            "3.\n\n");
}

TEST(Gsm8k, TellsWhenItsExamplesAreOurs) {
  const Folder folder;
  folder.write("test.jsonl", problem(1));
  ASSERT_EQ(make("gsm8k", folder)->notes().size(), 1u);
  expect_holds(make("gsm8k", folder)->notes()[0], "prompt_original.txt");
  EXPECT_TRUE(make("gsm8k", folder, {.shots = 0})->notes().empty());
  folder.write("prompt_original.txt", "");
  EXPECT_TRUE(make("gsm8k", folder)->notes().empty());
}

TEST(Gsm8k, OtherExampleFilesAreNamed) {
  const Folder folder;
  folder.write("test.jsonl", problem(1));
  const WordTokenizer tokenizer;
  const auto benchmark = make("gsm8k", folder);
  const auto message = [&] { return message_of<UsageError>([&] { benchmark->samples(tokenizer); }); };
  folder.write("prompt_original.txt", "Q: Two and two?\nA: 4\n");
  expect_holds(message(), "prompt_original.txt', line 1: ");
  folder.write("prompt_original.txt", "Question: a\nx\nThe answer is 1.\n\nQuestion: b\nx\n\nQuestion: c\n");
  expect_holds(message(), "prompt_original.txt', line 8: ");
  folder.write("prompt_original.txt", "");
  expect_holds(message(), "prompt_original.txt'");
}

TEST(Gsm8k, BrokenRecordsAndMissingFiles) {
  const Folder folder;
  const WordTokenizer tokenizer;
  const auto benchmark = make("gsm8k", folder);
  expect_holds(message_of<UsageError>([&] { benchmark->samples(tokenizer); }), "has no test.jsonl");
  folder.write("test.jsonl", problem(1) + R"({"question": "a", "answer": "b"})");
  expect_holds(message_of<BrokenRecord>([&] { benchmark->samples(tokenizer)->at(1); }),
               "line 2: \"answer\" must end in");
}

TEST(Gsm8kManyShot, DrawsTheSameExamplesForOneSeed) {
  const Folder folder;
  folder.write("test.jsonl", problems(2));
  folder.write("train.jsonl", problems(80));
  const WordTokenizer tokenizer;
  const auto document = [&](std::uint64_t seed, std::size_t index) {
    const auto benchmark = make("gsm8k-manyshot", folder, {.seed = seed});
    return benchmark->samples(tokenizer)->at(index).document;
  };
  const std::string prompt = document(0, 0);
  EXPECT_EQ(prompt, document(0, 1));
  EXPECT_NE(prompt, document(1, 0));
  expect_holds(prompt, "= 1");
  EXPECT_EQ(prompt.find("<<"), std::string::npos);
  EXPECT_EQ(prompt.find("####"), std::string::npos);

  std::set<std::string> questions;
  std::size_t n = 0;
  for (std::size_t at = 0; (at = prompt.find("Q: ", at)) != std::string::npos; ++at, ++n)
    questions.insert(prompt.substr(at, prompt.find('\n', at) - at));
  EXPECT_EQ(n, 50u);
  EXPECT_EQ(questions.size(), 50u);
  expect_holds(prompt, " Done. The answer is 1");
}

TEST(Gsm8kManyShot, TooFewExamples) {
  const Folder folder;
  folder.write("test.jsonl", problems(1));
  folder.write("train.jsonl", problems(5));
  const WordTokenizer tokenizer;
  const auto benchmark = make("gsm8k-manyshot", folder, {.shots = 6});
  expect_holds(message_of<UsageError>([&] { benchmark->samples(tokenizer); }),
               "has 5 records, and 6 examples");
  expect_holds(message_of<UsageError>([&] { make("gsm8k-manyshot", folder, {.shots = 0}); }), "at least one");
  EXPECT_EQ(make("gsm8k-manyshot", folder, {.shots = 5})->samples(tokenizer)->size(), 1u);
}

}  // namespace
}  // namespace chunkkv::eval
