#include "eval/support.h"
#include "tasks/haystack.h"
#include "tasks/needles.h"
#include "unicode.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace chunkkv::eval {
namespace {

using test::ByteTokenizer;
using test::expect_holds;
using test::Folder;
using test::message_of;
using test::sentences;
using test::WordTokenizer;

Options in(const Folder& folder) {
  Options options;
  options.data = folder.path();
  return options;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Haystack, IsCutToTokensAndRepeatedWhenShort) {
  const ByteTokenizer tokenizer;
  const std::string text = "First one. Second one. Third one.";
  EXPECT_EQ(cut_haystack(text, 0, 25, tokenizer), "First one. Second one.");  // 24 bytes and BOS
  EXPECT_EQ(cut_haystack(text, 3, 14, tokenizer), "Second one.");             // from the next sentence on
  EXPECT_EQ(cut_haystack(text, 30, 12, tokenizer), "First one.");             // behind the last sentence
  EXPECT_EQ(cut_haystack(text, 0, 48, tokenizer), text + "\n\nFirst one.");
}

TEST(Haystack, NeedlesLieAtTheEndOfASentenceAtTheirDepth) {
  const WordTokenizer tokenizer;
  const std::string text = "A b c d. E f g h. I j k l.";
  EXPECT_EQ(hide(text, {{"N.", 0}}, tokenizer), "N. A b c d. E f g h. I j k l.");
  EXPECT_EQ(hide(text, {{"N.", 0.3}}, tokenizer),
            "A b c d. N. E f g h. I j k l.");  // token 3 of 12: nearest is the end of sentence 1, at 4
  EXPECT_EQ(hide(text, {{"N.", 0.1}}, tokenizer), "N. A b c d. E f g h. I j k l.");
  EXPECT_EQ(hide(text, {{"N.", 0.5}}, tokenizer), "A b c d. N. E f g h. I j k l.");
  EXPECT_EQ(hide(text, {{"N.", 1}}, tokenizer), "A b c d. E f g h. I j k l. N.");
  EXPECT_EQ(hide(text, {{"M.", 0.9}, {"K.", 0.5}, {"L.", 0.5}}, tokenizer),
            "A b c d. K. L. E f g h. M. I j k l.");
}

TEST(Haystack, NeedlesStandApartWhereNoBlankFollowsASentence) {
  const ByteTokenizer tokenizer;
  EXPECT_EQ(hide("東。西。", {{"N.", 0.6}}, tokenizer), "東。 N. 西。");
  EXPECT_EQ(hide("a = 1\nb = 2\nc = 3\n", {{"N.", 0.7}, {"M.", 0.7}}, tokenizer),
            "a = 1\nb = 2\nN. M.\nc = 3\n");
}

TEST(Haystack, TellsTheDepthsThatWereReached) {
  const WordTokenizer tokenizer;
  std::vector<double> reached;
  hide("A b c d. E f g h. I j k l.", {{"M.", 0.9}, {"K.", 0.5}, {"L.", 0.1}}, tokenizer, &reached);
  EXPECT_EQ(reached, (std::vector<double>{8.0 / 12, 4.0 / 12, 0}));
  const ByteTokenizer with_bos;
  hide("A. Bcd. Efghi.", {{"N.", 1}, {"M.", 0.55}}, with_bos, &reached);
  EXPECT_EQ(reached, (std::vector<double>{1, 7.0 / 14}));
}

/// Texts with and without sentences, wrapped and not.
TEST(Niah, NeedlesReachTheirDepthInEveryKindOfText) {
  const auto many = [](int n, auto part) {
    std::string text;
    for (int i = 0; i < n; ++i) text += part(std::to_string(i));
    return text;
  };
  const std::map<std::string, std::string> texts = {
      {"English", sentences(400)},
      {"Chinese", many(900, [](const std::string& i) { return "他走到河邊，看見第" + i + "隻船。"; })},
      {"Hindi", many(600, [](const std::string& i) { return "नदी के किनारे " + i + " नावें थीं। "; })},
      {"Thai", many(600, [](const std::string&) { return "เรือลำหนึ่งแล่นไปตามแม่น้ำ "; })},
      {"curly",
       many(400, [](const std::string& i) { return "\u201CHere is boat number " + i + ".\u201D "; })},
      {"log",
       many(900, [](const std::string& i) { return "12:00:01.250 WARN pump=" + i + " pressure low\n"; })},
      {"code",
       many(900, [](const std::string& i) { return "  if (pump[" + i + "] < low) { open(valve); }\n"; })},
      {"poem",
       many(900,
            [](const std::string& i) { return "the river of year " + i + "\nwent on past the wall,\n"; })},
      {"letters", std::string(40000, 'a')}};
  for (const auto& [name, text] : texts) {
    const Folder folder;
    folder.write("text.txt", text);
    Options options = in(folder);
    options.tasks = {"single"};
    options.needle.lengths = {12000};
    const auto benchmark = make_benchmark("niah", options);
    const ByteTokenizer tokenizer;
    const auto samples = benchmark->samples(tokenizer);
    for (std::size_t i = 0; i < samples->size(); ++i) {
      const Sample sample = samples->at(i);
      SCOPED_TRACE(name + ", " + sample.id);
      EXPECT_GE(tokenizer.encode(sample.prompt()).size(), 11500u);
      const std::size_t at = sample.document.find("The best thing to do in San Francisco is");
      ASSERT_NE(at, std::string::npos);
      const double share = double(at) / double(sample.document.size());
      EXPECT_NEAR(share, sample.facts.at("depth"), 0.03);
      EXPECT_NEAR(share, sample.facts.at("reached_depth"), 0.02);  // some text is before the haystack
      EXPECT_EQ(find_invalid_utf8(sample.document), std::string::npos);
    }
  }
}

TEST(Niah, EqualLengthsAndDepthsAreOneCell) {
  const Folder folder;
  folder.write("book.txt", sentences(100));
  Options options = in(folder);
  options.tasks = {"single"};
  options.needle = {.lengths = {500, 500}, .depths = {0.5, 0, 0.5}};
  const auto benchmark = make_benchmark("niah", options);
  const WordTokenizer tokenizer;
  EXPECT_EQ(benchmark->samples(tokenizer)->size(), 2u);
}

TEST(Niah, TheGridHasEveryLengthAndDepth) {
  const Folder folder;
  folder.write("book.txt", sentences(400));
  Options options = in(folder);
  options.needle = {.lengths = {500, 900}, .depths = {0, 0.25, 0.5, 1}, .needles = 3, .repeats = 2};
  const auto benchmark = make_benchmark("niah", options);
  const WordTokenizer tokenizer;
  const auto samples = benchmark->samples(tokenizer);
  ASSERT_EQ(samples->size(), 4u * 2 * 4 * 2);

  std::set<std::string> ids;
  for (std::size_t i = 0; i < samples->size(); ++i) {
    const Sample sample = samples->at(i);
    SCOPED_TRACE(sample.id);
    ids.insert(sample.id);
    EXPECT_EQ(sample.group, sample.task);
    const std::size_t length = tokenizer.encode(sample.prompt()).size();
    EXPECT_LE(double(length), sample.facts.at("length"));
    EXPECT_GE(double(length),
              sample.facts.at("length") - 30);  // at most one sentence of the haystack is cut off
    for (const std::string& reference : sample.questions.front().references)
      EXPECT_EQ(count(sample.document, reference),
                sample.task == "variable-tracking" ? count(sample.prompt(), reference) : 1u);
    std::string answer;
    for (const std::string& reference : sample.questions.front().references) answer += reference + ", ";
    EXPECT_EQ(benchmark->score(sample, 0, answer).value, 1);
    EXPECT_EQ(benchmark->score(sample, 0, "I do not know.").value, 0);
    EXPECT_EQ(samples->at(i).prompt(), sample.prompt());
  }
  EXPECT_EQ(ids.size(), samples->size());
}

TEST(Niah, TheNeedleLiesWhereItShould) {
  const Folder folder;
  folder.write("book.txt", sentences(400));
  Options options = in(folder);
  options.tasks = {"single"};
  options.needle.lengths = {2000};
  const auto benchmark = make_benchmark("niah", options);
  const WordTokenizer tokenizer;
  const auto samples = benchmark->samples(tokenizer);
  ASSERT_EQ(samples->size(), 11u);
  for (std::size_t i = 0; i < samples->size(); ++i) {
    const Sample sample = samples->at(i);
    const std::size_t at = sample.document.find("The best thing to do in San Francisco is");
    ASSERT_NE(at, std::string::npos);
    const double share = double(at) / double(sample.document.size());
    EXPECT_NEAR(share, sample.facts.at("depth"), 0.05) << sample.id;
    EXPECT_TRUE(i == 0 || sample.document.substr(at - 2, 2) == ". ") << sample.id;
  }
}

TEST(Niah, ScoresOfTheClassicNeedle) {
  Sample sample;
  sample.task = "single";
  sample.questions = {{"", {"eat a sandwich and sit in Dolores Park on a sunny day"}}};
  const auto benchmark = make_benchmark("niah", {});
  const Score half = benchmark->score(sample, 0, "Eat a sandwich and sit.");
  EXPECT_EQ(half.value, 0);
  EXPECT_DOUBLE_EQ(half.metrics.at("words"), 5.0 / 11);  // 11 distinct words of 12: "a" twice
  EXPECT_DOUBLE_EQ(half.metrics.at("rouge1"), 2.0 * 5 / (5 + 12));
  const Score all =
      benchmark->score(sample, 0, "You can eat a sandwich and sit in Dolores Park on a sunny day!");
  EXPECT_EQ(all.value, 1);
  EXPECT_EQ(all.metrics.at("words"), 1);
}

TEST(Niah, SamplesDependOnSeedAndCellAlone) {
  const Folder folder;
  folder.write("book.txt", sentences(400));
  const WordTokenizer tokenizer;
  const auto prompt = [&](std::vector<double> depths, std::size_t index, std::uint64_t seed) {
    Options options = in(folder);
    options.tasks = {"key-value"};
    options.needle.lengths = {600};
    options.needle.depths = std::move(depths);
    options.seed = seed;
    const auto benchmark = make_benchmark("niah", options);
    return benchmark->samples(tokenizer)->at(index).prompt();
  };
  EXPECT_EQ(prompt({0.5}, 0, 1), prompt({0, 0.5}, 1, 1));
  EXPECT_NE(prompt({0.5}, 0, 1), prompt({0.5}, 0, 2));
}

TEST(Niah, ChainsAreHiddenInOrder) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed, "chain");
    const auto& variants = needle_variants();
    const NeedleCase chain = variants[3].make(0.4, 5, random);
    ASSERT_EQ(chain.needles.size(), 5u);
    ASSERT_EQ(chain.question.references.size(), 5u);
    for (std::size_t i = 0; i < 5; ++i) {
      expect_holds(chain.needles[i].sentence, "The variable " + chain.question.references[i] + " is ");
      EXPECT_NEAR(chain.needles[i].depth, 0.4 + 0.6 * double(i) / 5, 1e-12);
      if (i > 0) expect_holds(chain.needles[i].sentence, chain.question.references[i - 1]);
    }
  }
}

TEST(Niah, PairsHaveDifferentKeysAndValues) {
  Random random(3, "pairs");
  std::set<std::string> keys, values;
  for (const KeyValue& pair : random_pairs(kMaxKeys, random)) {
    keys.insert(pair.key);
    values.insert(pair.value);
    EXPECT_EQ(pair.value.size(), 6u);
  }
  EXPECT_EQ(keys.size(), std::size_t(kMaxKeys));
  EXPECT_EQ(values.size(), std::size_t(kMaxKeys));
}

TEST(Niah, LengthsFollowTheLongestPrompt) {
  const Folder folder;
  folder.write("book.txt", sentences(50));
  const WordTokenizer tokenizer;
  const auto lengths = [&](std::int32_t max_length) {
    Options options = in(folder);
    options.tasks = {"single"};
    options.needle.depths = {0.5};
    options.max_length = max_length;
    const auto benchmark = make_benchmark("niah", options);
    const auto samples = benchmark->samples(tokenizer);
    std::vector<double> result;
    for (std::size_t i = 0; i < samples->size(); ++i) result.push_back(samples->at(i).facts.at("length"));
    return result;
  };
  EXPECT_EQ(lengths(0), (std::vector<double>{1000, 2000, 4000, 8000}));
  EXPECT_EQ(lengths(2500), (std::vector<double>{1000, 2000}));
  EXPECT_EQ(lengths(300), (std::vector<double>{300}));
}

TEST(Niah, ImpossibleOptionsAreNamed) {
  const Folder folder;
  folder.write("book.txt", sentences(50));
  const WordTokenizer tokenizer;
  const auto message = [&](const NeedleOptions& needle) {
    Options options = in(folder);
    options.needle = needle;
    options.max_length = 1000;
    const auto benchmark = make_benchmark("niah", options);
    return message_of<UsageError>([&] { benchmark->samples(tokenizer)->at(0); });
  };
  expect_holds(message({.lengths = {2000}}), "longer than the longest prompt, 1000 tokens");
  expect_holds(message({.lengths = {20}}), "no room for a haystack");
  expect_holds(message({.depths = {1.5}}), "depth is 0 to 1, not 1.5");
  expect_holds(message({.needles = 0}), "number of needles");
  expect_holds(message({.repeats = 0}), "1 sample or more");
}

}  // namespace
}  // namespace chunkkv::eval
