#include "serve/edges/grammar_limits.h"

#include "unit/expect_throw.h"
#include "unit/random_seed.h"

#include <chunkkv/error.h>

#include <gtest/gtest.h>

#include <iterator>
#include <string>

namespace chunkkv::test {
namespace {

using serve::require_small_grammar;

std::string refusal(const std::string& grammar) {
  return message_of<UsageError>([&] { require_small_grammar(grammar); });
}

std::string repeated(const std::string& text, int n) {
  std::string all;
  for (int i = 0; i < n; ++i) all += text;
  return all;
}

/// A grammar of rules r0 to r`n`: each is `body` with $ replaced by the name of the next, the last is `last`.
std::string chain(int n, const std::string& body, const std::string& last) {
  std::string grammar = "root ::= r0\n";
  for (int i = 0; i < n; ++i) {
    grammar += "r" + std::to_string(i) + " ::= ";
    for (const char c : body) grammar += c == '$' ? "r" + std::to_string(i + 1) : std::string(1, c);
    grammar += '\n';
  }
  return grammar + "r" + std::to_string(n) + " ::= " + last + "\n";
}

TEST(GrammarLimits, OrdinaryGrammarsPass) {
  for (const std::string& grammar :
       {std::string(R"(root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws  # an object
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws     ::= | " " | "\n" [ \t]{0,20}
)"),
        std::string("root ::= (\n  \"a\" |\n  \"b\"\n)\n"), std::string("root ::= [a-z]{1,2000}"),
        std::string("root ::= \"a\\\"b\" [\\]] ."), "root ::= \"x\"" + repeated(" | \"x\"", 999),
        "root ::= " + repeated("\"a\"? ", 500)})
    EXPECT_NO_THROW(require_small_grammar(grammar)) << grammar;
}

TEST(GrammarLimits, WhatIsNoGrammarIsTheParsersToSay) {
  for (const char* grammar :
       {"", "x", "root", "root ::=", "root ::= \"a", "root ::= [a", "root ::= (", "root ::= )", "::= \"a\"",
        "root ::= \"a\"{", "root ::= <", "root ::= \"\\", "# only", "\n\n", "|||"})
    EXPECT_NO_THROW(require_small_grammar(grammar)) << grammar;
}

TEST(GrammarLimits, Length) {
  EXPECT_NO_THROW(require_small_grammar("root ::= \"" + std::string(1 << 19, 'a') + '"'));
  expect_mentions(refusal("root ::= \"" + std::string(1 << 20, 'a') + '"'), {"bytes"});
}

TEST(GrammarLimits, Depth) {
  const auto nested = [](int n) { return "root ::= " + repeated("(", n) + "\"a\"" + repeated(")", n); };
  EXPECT_NO_THROW(require_small_grammar(nested(200)));
  expect_mentions(refusal(nested(201)), {"deep"});
  expect_mentions(refusal(nested(500000)), {"deep"});
  expect_mentions(refusal("root ::= " + repeated("(", 500000)), {"deep"});
  // What looks like parentheses inside a text or a class is none.
  EXPECT_NO_THROW(
      require_small_grammar("root ::= \"" + repeated("(", 1000) + "\" [" + repeated("(", 1000) + "]"));
}

TEST(GrammarLimits, ChainsOfRules) {
  EXPECT_NO_THROW(require_small_grammar(chain(900, "$", "\"a\"")));
  expect_mentions(refusal(chain(30000, "$", "\"a\"")), {"rules"});
  // A rule that stands after a character does not lengthen the chain.
  EXPECT_NO_THROW(require_small_grammar(chain(3000, "\"a\" $", "\"a\"")));
}

TEST(GrammarLimits, Ways) {
  expect_mentions(refusal("root ::= \"x\"" + repeated(" | \"x\"", 1500)), {"ways"});
  expect_mentions(refusal("root ::= " + repeated("\"a\"? ", 1501)), {"ways"});
  expect_mentions(refusal("root ::= (\"a\"?){1600} \"b\""), {"ways"});
  expect_mentions(refusal("root ::= ((\"a\"?){100} \"b\"?){100}"), {"ways"});
  expect_mentions(refusal(chain(40, "$ $", "\"a\"?")), {"ways"});
  expect_mentions(refusal(chain(40, "$ | $ \"x\"", "[a-z]")), {"ways"});
  // Ways are counted at every place, not only at the first.
  expect_mentions(refusal("root ::= \"a\" (\"x\"" + repeated(" | \"x\"", 1500) + ")"), {"ways"});
  // There is only one way here, however often it is repeated.
  EXPECT_NO_THROW(require_small_grammar("root ::= " + repeated("\"a\" ", 5000)));
  EXPECT_NO_THROW(require_small_grammar("root ::= (((\"a\"){100}){100}){100}"));
}

TEST(GrammarLimits, RepetitionsThatEndBeforeTheyBegin) {
  for (const char* bounds : {"{5,2}", "{ 5 , 2 }", "{1,0}"})
    expect_mentions(refusal("root ::= \"a\"" + std::string(bounds)), {"smaller"});
  for (const char* bounds : {"{5}", "{5,}", "{2,5}", "{0,0}", "{,5}", "{}", "{ 2 , 2 }"})
    EXPECT_NO_THROW(require_small_grammar("root ::= \"a\"" + std::string(bounds))) << bounds;
}

TEST(GrammarLimits, ClassesOfManyCharacters) {
  EXPECT_NO_THROW(require_small_grammar("root ::= [" + std::string(10000, 'x') + "]*"));
  expect_mentions(refusal("root ::= [" + std::string(60000, 'x') + "]*"), {"ways"});
}

TEST(GrammarLimits, RulesThatBeginWithThemselves) {
  for (const char* grammar :
       {"root ::= root \"a\" | \"b\"", "root ::= a\na ::= b \"x\" | \"y\"\nb ::= \"c\"? a"})
    EXPECT_FALSE(refusal(grammar).empty()) << grammar;
  // These rules contain themselves, but do not begin with themselves.
  for (const char* grammar :
       {"root ::= \"a\" root | \"b\"", "root ::= (((\"a\")*)*)*", "root ::= s\ns ::= \"a\" s s | \"a\"?"})
    EXPECT_NO_THROW(require_small_grammar(grammar)) << grammar;
}

TEST(GrammarLimits, RandomTextsNeverDoMoreThanRefuse) {
  const char* const parts[] = {"root", "a",   "::=", "\"x\"", "[a-z]", "(",     ")",  "|",
                               "*",    "?",   "+",   "{3}",   "{2,",   "}",     "\n", "\"",
                               "\\",   "[^]", "#c",  "\r",    ".",     "!<[1]>"};
  Random random;
  for (int round = 0; round < 20000; ++round) {
    std::string grammar;
    for (int n = random.integer(0, 40); n > 0; --n)
      grammar +=
          std::string(parts[random.integer(0, int(std::size(parts)) - 1)]) + (random.chance(0.5F) ? " " : "");
    try {
      require_small_grammar(grammar);
    } catch (const UsageError&) {
    }
  }
}

}  // namespace
}  // namespace chunkkv::test
