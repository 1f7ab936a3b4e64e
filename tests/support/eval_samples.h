#pragma once

#include "runner/sweep.h"

#include "support/tiny_model.h"
#include "unit/random_seed.h"

#include <memory>
#include <string>
#include <vector>

namespace chunkkv::test {

/// The longest answer, in tokens.
inline constexpr std::int32_t kAnswer = 12;

inline std::string words(Random& random, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    for (int n = random.integer(2, 7); n > 0; --n) text += char('a' + random.integer(0, 25));
    text += i % 9 == 8 ? ".\n" : " ";
  }
  return text;
}

/// A random text with questions that have no right answer.
inline eval::Sample sample(Random& random, const std::string& id, int n_words, int n_questions = 1) {
  eval::Sample sample;
  sample.id = id;
  sample.task = "task";
  sample.group = "group";
  sample.source = "sample " + id;
  sample.document = words(random, n_words);
  for (int i = 0; i < n_questions; ++i) sample.questions.push_back({words(random, 6), {}});
  sample.max_new_tokens = kAnswer;
  return sample;
}

inline std::shared_ptr<Model> tiny_model() {
  static const auto model =
      Model::load(write_tiny_model({.architecture = "qwen2", .rope_base = 1000000}, tiny_folder()));
  return model;
}

inline SessionOptions session_options(std::int32_t n_cells) {
  SessionOptions options;
  options.n_cells = n_cells;
  options.n_ubatch = 64;
  options.n_threads = 1;
  return options;
}

inline eval::Sweep sweep(const std::vector<Plan>& pairs, const eval::SweepOptions& options) {
  const auto open = [parallel = options.parallel](std::int32_t n_cells) {
    SessionOptions opened = session_options(n_cells);
    opened.n_sequences = parallel;
    return std::make_unique<Session>(tiny_model(), opened);
  };
  return eval::Sweep(tiny_model(), open, pairs, options);
}

}  // namespace chunkkv::test
