// Text that Python's json module writes and that is no standard JSON.
#include "base/standard_json.h"

#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <string>

namespace chunkkv {
namespace {

TEST(StandardJson, HasNullForWhatIsNoNumber) {
  EXPECT_EQ(standard_json(R"({"a": NaN, "b":[Infinity,-Infinity, -1], "NaN": "NaN \" Infinity"})"),
            R"({"a": null, "b":[null,null, -1], "NaN": "NaN \" Infinity"})");
}

TEST(StandardJson, ReplacesHalvesOfPairsAlone) {
  EXPECT_EQ(standard_json(R"(["\ud83d\ude82", "\uD83D", "\ude82\ud83d", "\ud83d\ud83d\ude82", "\ud83dx"])"),
            R"(["\ud83d\ude82", "\ufffd", "\ufffd\ufffd", "\ufffd\ud83d\ude82", "\ufffdx"])");
  EXPECT_EQ(standard_json(R"("\\ud83d \u00e9 \ud8")"), R"("\\ud83d \u00e9 \ud8")");  // no surrogates
  EXPECT_EQ(standard_json("\"a\xED\xA0\xBD\xED\xBA\x82z\xED\x9F\xBF\""), "\"a\uFFFD\uFFFDz\uD7FF\"");
}

TEST(StandardJson, LeavesOtherTextAlone) {
  test::Random random;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int n = random.integer(0, 40); n > 0; --n)
      text += "{}[]\",:\\u0d8 \naf\xC3\xA9"[random.integer(0, 17)];
    // The letters may spell half of a pair, "\ud8.." to "\udf..", which would be replaced.
    bool has_half = false;
    for (const char* half : {"ud8", "uda", "udd", "udf"})
      has_half = has_half || text.find(half) != std::string::npos;
    if (!has_half) {
      EXPECT_EQ(standard_json(text), text);
    }
  }
}

}  // namespace
}  // namespace chunkkv
