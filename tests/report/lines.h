#pragma once

#include "report/results.h"

#include <string>
#include <utility>

/// Result lines for tests. A field that a test does not give is the same in all lines.
namespace chunkkv::report::test {

inline Origin origin(std::string model = "tiny.gguf", std::string hash = "1234") {
  return {.model = std::move(model),
          .model_hash = std::move(hash),
          .version = "0.1.0",
          .machine = "a machine",
          .seed = 0};
}

struct AnswerSpec {
  std::string benchmark = "longbench";
  std::string group = "code";
  std::string task = "lcc";
  std::string id = "1";
  std::string method = "chunkkv";
  std::string keep = "10%";
};

inline Answer answer(AnswerSpec spec, double score) {
  return {.origin = origin(),
          .setting = {.benchmark = std::move(spec.benchmark)},
          .sample = {.task = std::move(spec.task), .group = std::move(spec.group), .id = std::move(spec.id)},
          .pair = {std::move(spec.method), std::move(spec.keep)},
          .prompt_tokens = 100,
          .score = score,
          .metrics = {},
          .length = {},
          .depth = {}};
}

inline Fidelity fidelity(std::string id, std::string method, std::string keep, double kl) {
  return {.origin = origin(),
          .setting = {.benchmark = "fidelity"},
          .sample = {.task = "qasper", .group = "QA", .id = std::move(id)},
          .pair = {std::move(method), std::move(keep)},
          .figures = {{"kl", kl}},
          .kv_l1_layers = {},
          .attention_cosine_layers = {},
          .similarity = {}};
}

inline Speed speed(std::string method, std::string keep, std::int64_t repetition, double total) {
  return {.origin = origin(),
          .pair = {std::move(method), std::move(keep)},
          .input = 4096,
          .output = 1024,
          .repetition = repetition,
          .figures = {{"total", total}}};
}

}  // namespace chunkkv::report::test
