// Places in a text where a sentence can be inserted, in many scripts.
#include "text_breaks.h"

#include "eval/support.h"
#include "unicode.h"
#include "unit/random_seed.h"

#include <algorithm>
#include <set>

namespace chunkkv::eval {
namespace {

/// The texts that `part` makes of the numbers from 0 to `n` - 1, joined.
template <class Part>
std::string many(int n, Part part) {
  std::string text;
  for (int i = 0; i < n; ++i) text += part(std::to_string(i));
  return text;
}

/// Lines without a sentence in them.
std::string log_lines(int n) {
  return many(
      n, [](const std::string& i) { return "2031-04-05 12:00:01.250 WARN pump=" + i + " pressure low\n"; });
}

TEST(TextBreaks, EndsOfSentences) {
  const std::string text = "One. Two 3.5 \"Three!\" Four?\nFive";
  EXPECT_EQ(place_before(text, 3), 0u);
  EXPECT_EQ(place_before(text, 4), 4u);
  EXPECT_EQ(place_before(text, 20), 4u);  // 3.5 ends no sentence
  EXPECT_EQ(place_before(text, 21), 21u);
  EXPECT_EQ(place_before(text, 99), 27u);
  EXPECT_EQ(place_after(text, 5), 21u);
  EXPECT_EQ(place_after(text, 28), 28u);  // a line begins
  for (const auto place : {place_before, place_near, place_after}) EXPECT_EQ(place("", 0), 0u);
}

TEST(TextBreaks, ALineBreakAloneEndsNoSentence) {
  const std::string text = "A sentence that is\nwrapped goes on. Then\nanother one.\n\nA heading\n\nMore.";
  EXPECT_EQ(text.substr(0, place_before(text, 19)), "");
  EXPECT_EQ(text.substr(0, place_before(text, 50)), "A sentence that is\nwrapped goes on.");
}

/// In each script the places found are ends of sentences, near the places that were asked for.
TEST(TextBreaks, KnowSentencesOfAllScripts) {
  struct Case {
    std::string text;
    std::vector<std::string> ends;
  };
  for (const Case& each :
       {Case{many(80,
                  [](const std::string& i) {
                    return "他走到河邊，看見第" + i + "隻船。他問：「誰在那裡？」沒有人回答！";
                  }),
             {"。", "？", "？」", "！"}},
        Case{many(80, [](const std::string& i) { return "彼は" + i + "番目の船を見た。「誰だ」と聞いた。"; }),
             {"。"}},
        Case{many(80, [](const std::string& i) { return "नदी के किनारे " + i + " नावें थीं। वह वहाँ गया। "; }),
             {"।"}},
        Case{many(80,
                  [](const std::string& i) { return "ذهب إلى النهر رقم " + i + ". هل رأيت القارب؟ نعم! "; }),
             {".", "؟", "!"}},
        Case{many(80,
                  [](const std::string& i) {
                    return "\u201CThe boat was number " + i +
                           ",\u201D he said. \u201CWho is there?\u201D \u2018Nobody.\u2019 ";
                  }),
             {".", "?\u201D", ".\u2019"}}}) {
    for (int tenth = 0; tenth <= 10; ++tenth) {
      const std::size_t at = each.text.size() * std::size_t(tenth) / 10;
      const std::size_t place = place_near(each.text, at);
      EXPECT_LT(std::max(at, place) - std::min(at, place), 80u);
      const std::string_view before = std::string_view(each.text).substr(0, place);
      EXPECT_TRUE(place == 0 || std::any_of(each.ends.begin(), each.ends.end(),
                                            [&](const std::string& end) { return before.ends_with(end); }))
          << before.substr(before.size() - std::min<std::size_t>(before.size(), 60));
    }
  }
}

TEST(TextBreaks, AreLinesWhereThereAreNoSentences) {
  const std::string code = many(60, [](const std::string& i) {
    return "  if (pump[" + i + "].pressure < low) { open(valve." + i + "); }\n";
  });
  const std::string poem =
      many(60, [](const std::string& i) { return "the river of year " + i + "\nwent on past the wall,\n"; });
  for (const std::string& text :
       {log_lines(100), code, poem, "The log began. " + log_lines(100) + "It ended."}) {
    for (std::size_t at = 1000; at < text.size() - 1000; at += 97) {
      const std::size_t place = place_near(text, at);
      EXPECT_EQ(text[place - 1], '\n') << text.substr(place - 20, 40);
      EXPECT_LE(place, at);
      EXPECT_LT(at - place, 80u);
    }
  }
}

TEST(TextBreaks, AreWordsWhereThereAreNoLines) {
  const std::string words = many(400, [](const std::string& i) { return "word" + i + " "; });
  std::string phrase;
  std::set<std::size_t> beginnings;
  for (const char* word : {"เรือ", "ลำ", "หนึ่ง", "แล่น", "ไป", "ตาม", "แม่น้ำ"}) {
    beginnings.insert(phrase.size());
    phrase += word;
  }
  const std::string thai = many(100, [&](const auto&) { return phrase; });
  for (std::size_t at = 500; at < words.size() - 500; at += 31) {
    const std::size_t place = place_near(words, at);
    EXPECT_TRUE(words[place] == ' ' || words[place - 1] == ' ');
    EXPECT_LT(at - place, 10u);
  }
  for (std::size_t at = 500; at < thai.size() - 500; at += 31) {
    const std::size_t place = place_near(thai, at);
    EXPECT_TRUE(beginnings.contains(place % phrase.size())) << place % phrase.size();
    EXPECT_LT(at - place, 20u);
  }
}

TEST(TextBreaks, AreCharactersWhereThereAreNoWords) {
  const std::string letters(40000, 'a');
  EXPECT_EQ(place_near(letters, 20001), 20001u);
  const std::string trains = many(1000, [](const auto&) { return "🚂\u200D🚃"; });
  for (std::size_t at = 3000; at < 3050; ++at)
    for (const auto place : {place_before, place_near, place_after})
      EXPECT_EQ(find_invalid_utf8(trains.substr(place(trains, at))), std::string::npos);
}

/// A short haystack has few sentences, but needles are still put near their depth.
TEST(TextBreaks, AreNearInShortTexts) {
  const std::string hindi = many(
      2, [](const std::string& i) { return "नदी के किनारे " + i + " नावें थीं और वह वहाँ बहुत देर तक बैठा रहा। "; });
  for (const std::string& text : {test::sentences(4), hindi, log_lines(6)})
    for (std::size_t at = 0; at < text.size(); at += 7) {
      const std::size_t place = place_near(text, at);
      EXPECT_LE(double(std::max(at, place) - std::min(at, place)), 0.13 * double(text.size()));
    }
}

TEST(TextBreaks, TurnToTheNextSentenceWhereTheLastOneIsFar) {
  std::string text = "It began. ";
  const std::size_t begin = text.size();
  text += "And ";
  for (int i = 0; i < 140; ++i) text += "and on it went ";
  text += "until it ended. " + test::sentences(80);
  const std::size_t end = text.find("ended.") + 6;
  EXPECT_EQ(place_near(text, begin + 200), begin - 1);
  EXPECT_EQ(place_near(text, end - 200), end);
  EXPECT_LT(place_before(text, end - 200), end - 190);
}

TEST(TextBreaks, AreOnTheirSideAndBetweenCharacters) {
  chunkkv::test::Random random;
  const std::vector<std::string> parts = {"a",  "B",  " ", "\n", "\n\n",   ".",    "!",
                                          "。", "東", "é", "🚂",  "\u0301", "क",    "।",
                                          "เ",  "3",  ",", "\"", "\u201D", "word", "Word"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int n = random.integer(0, 400); n > 0; --n)
      text += parts[std::size_t(random.integer(0, int(parts.size()) - 1))];
    const auto at = std::size_t(random.integer(0, int(text.size())));
    std::size_t inside = at;  // moved to where a character begins
    while (inside < text.size() && (static_cast<unsigned char>(text[inside]) & 0xC0) == 0x80) ++inside;
    EXPECT_LE(place_before(text, at), at);
    EXPECT_GE(place_after(text, at), at);
    for (const auto place : {place_before, place_near, place_after}) {
      const std::size_t found = place(text, inside);
      ASSERT_LE(found, text.size());
      EXPECT_EQ(find_invalid_utf8(std::string_view(text).substr(found)), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace chunkkv::eval
