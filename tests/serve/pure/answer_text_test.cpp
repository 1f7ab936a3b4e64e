#include "serve/engine/answer_text.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

namespace chunkkv::test {
namespace {

using serve::AnswerText;

struct Outcome {
  std::string text, stop;
  bool operator==(const Outcome&) const = default;
};
void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << '"' << outcome.text << "\", stopped by \"" << outcome.stop << '"';
}

/// What a client gets when the model generates `tokens`, up to a stop text or the end.
Outcome said(const std::vector<std::string>& stops, const std::vector<std::string>& tokens) {
  AnswerText answer(stops);
  Outcome outcome;
  for (const std::string& token : tokens) {
    outcome.text += answer.push(token);
    if (!answer.stopped_by().empty()) break;
  }
  outcome.text += answer.finish();
  outcome.stop = answer.stopped_by();
  return outcome;
}

TEST(AnswerText, SaysAllWithoutStops) {
  EXPECT_EQ(said({}, {"The", " harbour", ""}), (Outcome{"The harbour", ""}));
  EXPECT_EQ(said({""}, {"a"}), (Outcome{"a", ""}));
  EXPECT_EQ(said({}, {}), (Outcome{"", ""}));
}

TEST(AnswerText, StopsInsideATokenAndAcrossTokens) {
  EXPECT_EQ(said({"bour"}, {"The harbour master"}), (Outcome{"The har", "bour"}));
  EXPECT_EQ(said({"END"}, {"a E", "N", "D b"}), (Outcome{"a ", "END"}));
  EXPECT_EQ(said({"a"}, {"a"}), (Outcome{"", "a"}));
}

TEST(AnswerText, HoldsBackNoMoreThanWhatMayBeAStop) {
  AnswerText answer({"END", "\n\n"});
  EXPECT_EQ(answer.push("one E"), "one ");
  EXPECT_EQ(answer.push("x"), "Ex");
  EXPECT_EQ(answer.push("EEN"), "E");
  EXPECT_EQ(answer.push("E"), "EN");
  EXPECT_EQ(answer.push("\n"), "E");
  EXPECT_EQ(answer.finish(), "\n");
  EXPECT_EQ(answer.stopped_by(), "");
}

TEST(AnswerText, GoesOnAfterABeginningThatWasNone) {
  // The stop begins again inside what looked like its beginning.
  EXPECT_EQ(said({"aab"}, {"a", "a", "a", "b"}), (Outcome{"a", "aab"}));
  EXPECT_EQ(said({"abab", "bb"}, {"ab", "ab"}), (Outcome{"", "abab"}));
  EXPECT_EQ(said({"abac"}, {"aba", "bac"}), (Outcome{"ab", "abac"}));
}

TEST(AnswerText, TheFirstStopInTheTextWins) {
  EXPECT_EQ(said({"later", "now"}, {"now or later"}), (Outcome{"", "now"}));
  EXPECT_EQ(said({"bc", "abc"}, {"xabc"}), (Outcome{"x", "abc"}));
}

TEST(AnswerText, JoinsCharactersOfSeveralTokens) {
  AnswerText answer({});
  EXPECT_EQ(answer.push("\xE2\x82"), "");
  EXPECT_EQ(answer.push("\xAC!"), "\xE2\x82\xAC!");
  EXPECT_EQ(answer.push("\xF0\x9F"), "");
  EXPECT_EQ(answer.finish(), "\xEF\xBF\xBD");
}

TEST(AnswerText, StopsAtACharacterOfSeveralTokens) {
  const std::string euro = "\xE2\x82\xAC";
  EXPECT_EQ(said({euro}, {"5 \xE2", "\x82", "\xAC more"}), (Outcome{"5 ", euro}));
  // Another character, which shares the first bytes of the stop.
  EXPECT_EQ(said({euro}, {"5 \xE2", "\x82", "\xAD more"}), (Outcome{"5 \xE2\x82\xAD more", ""}));
}

/// The same the slow way: searches the whole text again after each token.
Outcome slowly(const std::vector<std::string>& stops, const std::vector<std::string>& tokens) {
  std::string text;
  for (const std::string& token : tokens) {
    text += token;
    std::size_t first = text.npos;
    std::string which;
    for (const std::string& stop : stops)
      if (const std::size_t at = text.find(stop); !stop.empty() && at < first) first = at, which = stop;
    if (first != text.npos) return {text.substr(0, first), which};
  }
  return {text, ""};
}

TEST(AnswerText, EqualsASlowSearchOfTheWholeText) {
  Random random;
  const auto word = [&](int least, int most, char last) {
    std::string text;
    for (int n = random.integer(least, most); n > 0; --n) text += char(random.integer('a', last));
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    const char last = char('a' + random.integer(0, 2));
    std::vector<std::string> stops, tokens;
    for (int n = random.integer(0, 4); n > 0; --n) stops.push_back(word(1, 5, last));
    for (int n = random.integer(0, 12); n > 0; --n) tokens.push_back(word(0, 4, last));
    const Outcome expected = slowly(stops, tokens), actual = said(stops, tokens);
    // Where two stops begin at one place, either may be reported.
    ASSERT_EQ(actual.text, expected.text) << "round " << round;
    ASSERT_EQ(actual.stop.empty(), expected.stop.empty()) << "round " << round;
  }
}

TEST(AnswerText, NothingFollowsAStopText) {
  AnswerText answer({"stop"});
  EXPECT_EQ(answer.push("so stop\xC3"), "so ");  // the rest of a character would follow
  EXPECT_EQ(answer.stopped_by(), "stop");
  EXPECT_EQ(answer.finish(), "");
}

TEST(AnswerText, WhatIsSaidEarlyIsNeverTakenBack) {
  Random random;
  for (int round = 0; round < 1000; ++round) {
    AnswerText answer({"aba", "bb"});
    std::string all, said_so_far;
    for (int i = 0; i < 20 && answer.stopped_by().empty(); ++i) {
      const std::string token(1, char(random.integer('a', 'b')));
      all += token;
      said_so_far += answer.push(token);
      ASSERT_TRUE(all.starts_with(said_so_far)) << all << " / " << said_so_far;
      // What is held back is shorter than the longest stop.
      if (answer.stopped_by().empty()) {
        ASSERT_LT(all.size() - said_so_far.size(), 3U);
      }
    }
  }
}

}  // namespace
}  // namespace chunkkv::test
