#include "serve/engine/kv_settings.h"

#include "unit/expect_throw.h"

#include <chunkkv/error.h>
#include <chunkkv/registry.h>

#include <gtest/gtest.h>

#include <string>

namespace chunkkv::test {
namespace {

using serve::KvSettings;
using serve::require_plain_name;
using serve::with_field;
using Json = nlohmann::ordered_json;

KvSettings defaults() {
  KvSettings settings;
  settings.method = make_method("snapkv");
  settings.keep = Budget::parse("30%");
  settings.keep_text = "30%";
  return settings;
}

KvSettings set(const char* json) {
  return with_field(defaults(), Json::parse(json));
}

std::string refusal(const char* json) {
  return message_of<UsageError>([&] { set(json); });
}

TEST(KvSettings, NothingChangesNothing) {
  for (const char* json : {"null", "{}", R"({"method": null, "keep": null, "name": null})"}) {
    const KvSettings settings = set(json);
    EXPECT_EQ(settings.key(), defaults().key()) << json;
    EXPECT_EQ(settings.cells, 0);
    EXPECT_EQ(settings.protect, -1);
    EXPECT_EQ(settings.keep_at_least, 256);
    EXPECT_FALSE(settings.source);
    EXPECT_TRUE(settings.name.empty());
  }
}

TEST(KvSettings, EveryFieldIsTaken) {
  const KvSettings settings =
      set(R"({"method": "streamingllm", "keep": "12%", "keep_at_least": 5, "cells": 700,
                                      "protect": 9, "source": true, "name": "contract-17"})");
  EXPECT_TRUE(settings.method->spec().starts_with("streamingllm"));
  EXPECT_EQ(settings.keep_text, "12%");
  EXPECT_EQ(settings.keep_at_least, 5);
  EXPECT_EQ(settings.cells, 700);
  EXPECT_EQ(settings.protect, 9);
  EXPECT_TRUE(settings.source);
  EXPECT_EQ(settings.name, "contract-17");
  EXPECT_EQ(settings.key(), settings.method->spec() + " at 12%");
}

TEST(KvSettings, WhatIsKeptMayBeANumber) {
  EXPECT_EQ(set(R"({"keep": 100})").keep_text, "100");
  EXPECT_EQ(set(R"({"keep": 100})").keep.resolve(1000), 100);
  EXPECT_EQ(set(R"({"protect": "system", "cells": 0})").protect, -1);
}

TEST(KvSettings, AFullCacheHasOneKey) {
  EXPECT_EQ(set(R"({"method": "full", "keep": "5%"})").key(), "full");
  EXPECT_FALSE(set(R"({"method": "full"})").compresses());
  EXPECT_TRUE(set("{}").compresses());
}

TEST(KvSettings, WrongFieldsSayWhatIsRight) {
  for (const char* json : {"[]", "5", "\"chunkkv\"", "true"})
    expect_mentions(refusal(json), {"kv is an object"});
  expect_mentions(refusal(R"({"methode": "chunkkv"})"), {"methode", "method, keep"});
  expect_mentions(refusal(R"({"method": 5})"), {"kv.method", "5"});
  expect_mentions(refusal(R"({"keep": []})"), {"kv.keep", "[]"});
  expect_mentions(refusal(R"({"source": 1})"), {"kv.source", "1"});
  expect_mentions(refusal(R"({"source": "true"})"), {"kv.source"});
  expect_mentions(refusal(R"({"name": 5})"), {"kv.name"});
  expect_mentions(refusal(R"({"name": "../x"})"), {"name"});
  expect_mentions(refusal(R"({"protect": "all"})"), {"kv.protect", "all"});
  for (const char* json : {R"({"method": "nope"})", R"({"method": ""})", R"({"method": "chunkkv:nope=1"})",
                           R"({"keep": "x"})", R"({"keep": -1})", R"({"keep": "200%"})", R"({"keep": ""})"})
    EXPECT_FALSE(refusal(json).empty()) << json;
}

TEST(KvSettings, CountsHaveBounds) {
  for (const char* name : {"cells", "protect", "keep_at_least"})
    for (const char* value : {"-1", "1.5", "\"1\"", "true", "[]", "{}", "16777217", "9223372036854775807",
                              "18446744073709551615", "-9223372036854775808"}) {
      const std::string json = "{\"" + std::string(name) + "\": " + value + "}";
      expect_mentions(refusal(json.c_str()), {name});
    }
  EXPECT_EQ(set(R"({"cells": 16777216})").cells, 1 << 24);
}

TEST(PlainName, LettersDigitsAndThreeSigns) {
  using namespace std::string_literals;
  for (const std::string& name :
       {"a"s, "Z9"s, "contract-17"s, "a.b_c-d"s, "-x"s, "_"s, std::string(128, 'x')})
    EXPECT_NO_THROW(require_plain_name(name)) << name;
}

TEST(PlainName, NoPathsAndNothingHidden) {
  using namespace std::string_literals;
  for (const std::string& name :
       {""s, "."s, ".."s, ".x"s, "a/b"s, "/a"s, "../a"s, "a\\b"s, "a b"s, "a\0b"s, "a\n"s, "\xC3\xA4"s,
        "a:b"s, "a*"s, "~"s, "$a"s, "%2e"s, std::string(129, 'x')})
    EXPECT_THROW(require_plain_name(name), UsageError) << name;
}

}  // namespace
}  // namespace chunkkv::test
