// Long texts that a tokenizer matches as a whole: its matcher calls itself for each character.
#include "llama/tokenizing.h"
#include "llama/large_stack.h"

#include <chunkkv/session.h>

#include "support/default_model.h"
#include "support/tiny_model.h"
#include "unit/expect_throw.h"
#include "unit/temporary_folder.h"

#include <gtest/gtest.h>
#include <pthread.h>

namespace chunkkv::test {
namespace {

/// The default model with another rule of splitting text; its name must have as many letters as "smollm".
std::shared_ptr<Model> with_rule(const std::string& rule) {
  const std::string key = "tokenizer.ggml.pre", own = "smollm";
  EXPECT_EQ(rule.size(), own.size());
  std::string bytes = content(default_model());
  const std::size_t at = bytes.find(own, bytes.find(key));
  EXPECT_NE(at, bytes.npos);
  bytes.replace(at, own.size(), rule);
  const std::string path = (tiny_folder() / (rule + ".gguf")).string();
  put(path, bytes);
  const auto model = Model::load(path);
  std::filesystem::remove(path);
  return model;
}

std::string repeated(const std::string& text, std::size_t n) {
  std::string all;
  for (std::size_t i = 0; i < n; ++i) all += text;
  return all;
}

TEST(Tokenizing, LongRunsOfOneKind) {
  for (const char* rule : {"tekken", "gpt-4o"}) {
    const auto model = with_rule(rule);
    for (const std::string& text :
         {std::string(100000, 'A'), std::string(100000, 'x'), std::string(60000, '='),
          std::string(60000, ' '), std::string(60000, '\n'), std::string(60000, '7'),
          repeated("\xe7\x81\xaf", 50000), "begin " + repeated("Ab", 50000) + " end"})
      EXPECT_EQ(model->detokenize(model->tokenize(text, false, false)), text)
          << rule << " " << text.substr(0, 3);
  }
}

TEST(Tokenizing, WhatHasNoEndIsRefused) {
  const auto model = Model::load(write_tiny_model({}, tiny_folder()));
  const std::string text(engine::kLongestMatch + 1, 'a');
  expect_mentions(message_of<Error>([&] { model->tokenize(text, false, false); }), {"without blanks"});
}

TEST(Tokenizing, MatchesAreBounded) {
  EXPECT_EQ(engine::longest_match(""), 0u);
  EXPECT_EQ(engine::longest_match("abc"), 3u);
  EXPECT_EQ(engine::longest_match("a bcd  e"), 5u);             // "bcd" and two blanks
  EXPECT_EQ(engine::longest_match("\t\n \r\v\fword,x!"), 13u);  // six blanks, seven others
}

void* tokenize_a_lot(void* model) {
  static_cast<const Model*>(model)->tokenize(std::string(50000, 'A'), false, false);
  return nullptr;
}

TEST(Tokenizing, AThreadWithASmallStackWillDo) {
  const auto model = with_rule("tekken");
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 << 10);
  pthread_t thread{};
  ASSERT_EQ(pthread_create(&thread, &attributes, tokenize_a_lot, model.get()), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(Tokenizing, WhatIsThrownOnALargeStackArrives) {
  int n = 0;
  engine::run_on_large_stack(1 << 20, [&] { n = 7; });
  EXPECT_EQ(n, 7);
  EXPECT_THROW(engine::run_on_large_stack(1 << 20, [] { throw UsageError("x"); }), UsageError);
  EXPECT_THROW(engine::run_on_large_stack(std::size_t(1) << 60, [] {}), Error);
}

}  // namespace
}  // namespace chunkkv::test
