#include "scorers/scorers.h"
#include "data/jsonl.h"
#include "eval/support.h"
#include "tasks/longbench_tasks.h"
#include "unit/random_seed.h"

#include <regex.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>

namespace chunkkv::eval {
namespace {

using Strings = std::vector<std::string>;

/// Every pair of the fixture (scripts/fixtures/make_eval_fixtures.py) scores as in the reference
/// implementation.
template <typename Scorer>
void expect_reference_scores(const std::string& name, Scorer score) {
  const JsonLines pairs(std::string(CHUNKKV_TEST_FIXTURES) + "/eval/" + name + ".jsonl");
  ASSERT_GE(pairs.size(), 200u);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const Record pair = pairs.at(i);
    const std::string answer = pair.text("answer"), reference = pair.text("reference");
    EXPECT_NEAR(score(answer, reference, pair), *pair.number("score"), 1e-9)
        << pair.source() << "\nanswer: " << answer << "\nreference: " << reference;
  }
}

template <double (*score)(std::string_view, std::string_view)>
double plain(const std::string& answer, const std::string& reference, const Record&) {
  return score(answer, reference);
}

TEST(Scorers, RougeLIsThatOfRouge) {
  expect_reference_scores("rouge_l", plain<rouge_l>);
}
TEST(Scorers, IndelSimilarityIsRapidfuzzRatio) {
  expect_reference_scores("indel", plain<indel_similarity>);
}
TEST(Scorers, CodeSimilarityIsLongBenchs) {
  expect_reference_scores("code", plain<code_similarity>);
}
TEST(Scorers, QaF1IsLongBenchs) {
  expect_reference_scores("qa_f1", plain<qa_f1>);
}
TEST(Scorers, Rouge1IsThatOfRougeScore) {
  expect_reference_scores("rouge_1", plain<rouge_1>);
}
TEST(Scorers, CountIsLongBenchs) {
  expect_reference_scores("count", plain<number_share>);
}
TEST(Scorers, RetrievalIsLongBenchs) {
  expect_reference_scores("retrieval", plain<paragraph_share>);
}
TEST(Scorers, StrictMathIsLmEvals) {
  expect_reference_scores("strict_math", plain<strict_math_answer>);
}
TEST(Scorers, ClassificationIsLongBenchs) {
  expect_reference_scores("classification",
                          [](const auto& answer, const auto& reference, const Record& pair) {
                            return classification(answer, reference, pair.texts("classes"));
                          });
}

TEST(Scorers, RougeLOfThePublishedExample) {
  // The shared words, in order, are "cat sat on" with "mat", and "the dog": 6 of 7 and of 8 distinct words.
  EXPECT_NEAR(rouge_l("the cat sat on the mat. the dog ran", "a cat sat on a mat. the dog barked"),
              .799999995, 1e-9);
}

TEST(Scorers, RougeLOfLongSentences) {
  std::string a, b;
  for (int i = 0; i < 3000; ++i) {
    a += "a" + std::to_string(i) + " ";
    b += (i % 3 == 0 ? "b" : "a") + std::to_string(i) + " ";
  }
  EXPECT_NEAR(rouge_l(a, b), 2.0 / 3, 1e-6);
}

TEST(Scorers, QaF1DropsCaseArticlesAndPunctuation) {
  EXPECT_EQ(qa_f1("The  Cat's!", "cats"), 1);
  EXPECT_EQ(qa_f1("A an the", "x"), 0);
  EXPECT_NEAR(qa_f1("red red blue", "red green"), 2 * (1.0 / 3 * 1 / 2) / (1.0 / 3 + 1.0 / 2), 1e-12);
}

TEST(Scorers, ClassificationSharesBetweenTheClassesNamed) {
  const Strings classes = {"City", "Other city", "Date"};
  EXPECT_EQ(classification("City or Date", "City", classes), 0.5);
  EXPECT_EQ(classification("Date", "City", classes), 0);
  const Strings nested = {"location", "Other location", "Date"};
  EXPECT_EQ(classification("Other location", "Other location", nested), 1);  // "location" is a part of it
  EXPECT_EQ(classification("Other location", "location", nested), 0.5);
  // Of two such classes listed one after the other the second is not removed, as in LongBench's own code.
  EXPECT_EQ(
      classification("Other location", "Other location", Strings{"Other", "location", "Other location"}),
      0.5);
}

TEST(Scorers, CodeSimilarityTakesTheFirstLineOfCode) {
  EXPECT_EQ(code_similarity("\n```cpp\n// add\nx += 1;\ny += 1;", "x += 1;"), 1);
  EXPECT_EQ(code_similarity("# all comment", "x"), 0);
  EXPECT_NEAR(indel_similarity("abcd", "bce"), 2.0 * 2 / 7, 1e-12);
}

TEST(Scorers, FlexibleMathTakesTheLastNumber) {
  EXPECT_EQ(flexible_math_answer("2 + 2 = 4. So it is $1,234.00, I think.", "1234"), 1);
  EXPECT_EQ(flexible_math_answer("The answer is 18", "18"), 1);
  EXPECT_EQ(flexible_math_answer("18 and then 19", "18"), 0);
  EXPECT_EQ(flexible_math_answer("minus: -5.", "-5"), 1);
  EXPECT_EQ(flexible_math_answer("-5", "5"), 0);
  EXPECT_EQ(flexible_math_answer("it is .5...", "0.5"), 1);
  EXPECT_EQ(flexible_math_answer("1,000,000", "1,000,000"), 1);
  EXPECT_EQ(flexible_math_answer("none", "0"), 0);
  EXPECT_EQ(flexible_math_answer("", "0"), 0);
}

TEST(Scorers, SubstringShareIsTheMeanOverReferences) {
  EXPECT_EQ(substring_share("It says ABC and 12.", Strings{"abc", "12", "13", "x"}), 0.5);
  EXPECT_EQ(substring_share("ÉTÉ", Strings{"été"}), 1);
  EXPECT_EQ(substring_share("", Strings{"a"}), 0);
}

TEST(Scorers, WordShareCountsDistinctWordsOfTheReference) {
  EXPECT_EQ(word_share("Eat, a SANDWICH!", "eat a sandwich and sit"), 0.6);
  EXPECT_EQ(word_share("a a b", "a b a b"), 1);
}

TEST(Scorers, FirstLine) {
  EXPECT_EQ(first_line("\n\nType: Date\nQuestion:"), "Type: Date");
  EXPECT_EQ(first_line("\n"), "");
  EXPECT_EQ(first_line("one"), "one");
}

TEST(Scorers, Refusals) {
  for (const char* refusal : {"I'm sorry, but I can't help with that.", "I’m sorry", "As an AI, I ...",
                              "I CANNOT do that", "Unfortunately I won't.", "I must decline."})
    EXPECT_TRUE(sounds_like_refusal(refusal)) << refusal;
  for (const char* answer :
       {"Sure, here is how:", "", "Step 1. Take the sorry state of things.", "You cannot lose!"})
    EXPECT_FALSE(sounds_like_refusal(answer)) << answer;
}

TEST(Scorers, RefusalsHoweverTheyAreWritten) {
  for (const char* refusal :
       {"I **cannot** help", "I can`t help", "I'm\nsorry", "I CAN\u02BCT do it", "I\u00B4m sorry",
        "I can\u2018t", "_I'm sorry_", "I ***will not*** do this", "I `cannot` do this", "I\u00A0can\uFF07t",
        "I  \t\r\n  cannot", "> I'm\n> sorry", "**I'm sorry**, but", "I\u200B \u00ADcannot",
        "__I must decline__", "\uFEFFI can\u2032t", "I can\uA78Ct"})
    EXPECT_TRUE(sounds_like_refusal(refusal)) << refusal;
  for (const char* answer :
       {"i_cannot = 1", "Scan`t", "I can. Not that it matters", "I can ` t", "I*m sorr*y", "`I` `can` help"})
    EXPECT_FALSE(sounds_like_refusal(answer)) << answer;
}

/// The regular expressions that the scorers follow, run by the system's library. All are greedy and have one
/// longest match.
struct Expression {
  explicit Expression(const char* text) { EXPECT_EQ(regcomp(&compiled, text, REG_EXTENDED), 0); }
  ~Expression() { regfree(&compiled); }
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;

  /// Group `group` of the first match from `text` on; moves `text` behind it.
  std::optional<std::string> next(const char*& text, std::size_t group) const {
    std::array<regmatch_t, 3> found{};
    if (regexec(&compiled, text, found.size(), found.data(), 0) != 0) return std::nullopt;
    const std::string result(text + found[group].rm_so, text + found[group].rm_eo);
    text += found[0].rm_eo;
    return result;
  }

  regex_t compiled{};
};

TEST(Scorers, NumbersAreThoseOfTheExpressions) {
  const Expression strict("The answer is (-?[0-9.,]+)[^\n]");
  const Expression flexible("-?\\$?([0-9][0-9,]*(\\.[0-9]+)?|\\.[0-9]+)");
  const std::uint32_t seed = chunkkv::test::random_seed();
  std::mt19937 random(seed);
  const Strings pieces = {"The answer is ", "1", "23", ",", ".", "-", "$", " ", "\n", "x", "0"};
  const auto plain = [](std::string number) {
    std::erase_if(number, [](char c) { return c == ',' || c == '$'; });
    if (number.ends_with('.')) number.pop_back();
    return number;
  };
  for (int i = 0; i < 20000; ++i) {
    std::string answer;
    for (std::size_t n = random() % 14; n > 0; --n) answer += pieces[random() % pieces.size()];
    const char* at = answer.c_str();
    const std::optional<std::string> stated = strict.next(at, 1);
    EXPECT_EQ(strict_math_answer(answer, stated.value_or("none")), stated ? 1 : 0) << answer;
    EXPECT_EQ(strict_math_answer(answer, "77"), 0) << answer;

    at = answer.c_str();
    std::string last;
    while (const std::optional<std::string> number = flexible.next(at, 0)) last = *number;
    EXPECT_EQ(flexible_math_answer(answer, plain(last)), last.empty() ? 0 : 1) << answer << " | " << last;
    EXPECT_EQ(flexible_math_answer(answer, "77"), 0) << answer;
  }
}

TEST(Scorers, NumbersMayHaveAnyLength) {
  const std::string digits(300000, '7');
  EXPECT_EQ(strict_math_answer("The answer is " + digits + ".", digits), 1);
  EXPECT_EQ(strict_math_answer("The answer is " + digits, "5"), 0);
  EXPECT_EQ(flexible_math_answer(digits, "5"), 0);
  EXPECT_EQ(flexible_math_answer(digits + " and 5", "5"), 1);
  std::string list;
  for (int i = 0; i < 300000; ++i) list += i % 2 == 0 ? "1," : "$ - ";
  EXPECT_EQ(flexible_math_answer(list + "8", "8"), 1);
  std::string many;
  for (int i = 0; i < 100000; ++i) many += "The answer is -";
  EXPECT_EQ(strict_math_answer(many + "8 ", "-8"), 1);
}

TEST(Scorers, FindStop) {
  const Strings line = {"\n"}, question = {"Q:", "</s>"};
  EXPECT_EQ(find_stop("\n\nAn answer\nand more", line), 11u);
  EXPECT_EQ(find_stop("\n\n", line), std::string::npos);
  EXPECT_EQ(find_stop("It is 5.\n\nQ: next </s>", question), 10u);
  EXPECT_EQ(find_stop("Q: at once", question), 0u);
  EXPECT_EQ(find_stop("", question), std::string::npos);
  EXPECT_EQ(find_stop("anything", {}), std::string::npos);
}

/// Scores of any text are 0 to 1. The Indel similarity of a text with itself is 1.
TEST(Scorers, StayInRangeOnRandomText) {
  const std::uint32_t seed = 20240817;
  std::mt19937 random(seed);
  const Strings pieces = {"a",   "the",  " ",        ".",  "\n", "12",         "É",
                          "x y", "\xFF", "\xE2\x80", "//", "`",  "Paragraph 3"};
  const auto text = [&] {
    std::string result;
    for (std::size_t n = random() % 12; n > 0; --n) result += pieces[random() % pieces.size()];
    return result;
  };
  for (int i = 0; i < 2000; ++i) {
    const std::string answer = text(), reference = text();
    for (const auto score : {rouge_l, rouge_1, qa_f1, indel_similarity, code_similarity, number_share,
                             paragraph_share, word_share, strict_math_answer, flexible_math_answer}) {
      const double value = score(answer, reference);
      ASSERT_TRUE(value >= 0 && value <= 1)
          << value << ", seed " << seed << ": " << answer << " | " << reference;
    }
    ASSERT_EQ(indel_similarity(answer, answer), 1);
  }
}

}  // namespace
}  // namespace chunkkv::eval
