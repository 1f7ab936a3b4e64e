#include "runner/result_line.h"

#include <chunkkv/error.h>

#include <algorithm>
#include <array>

namespace chunkkv::eval {
namespace {

constexpr std::string_view kStart = R"({"benchmark":")";

constexpr std::array kKeyFields = {"benchmark", "task",   "id",       "question", "method",     "keep",
                                   "query",     "cells",  "seed",     "length",   "max_length", "model_hash",
                                   "input",     "output", "settings", "depth",    "repetition"};

/// What may differ when a measurement is repeated.
constexpr std::array kCircumstances = {"ms", "throughput", "bytes", "machine", "version", "model"};

}  // namespace

std::string result_key(const Json& line) {
  Json key = Json::array();
  for (const char* field : kKeyFields) {
    const auto value = line.find(field);
    key.push_back(value == line.end() ? Json() : *value);
  }
  // Speed is the machine's as well.
  if (line.value("benchmark", "") == "perf") key.push_back(line.value("machine", ""));
  return key.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool same_result(const Json& a, const Json& b) {
  const auto is_circumstance = [](const std::string& name) {
    return std::find(kCircumstances.begin(), kCircumstances.end(), name) != kCircumstances.end();
  };
  const auto covered = [&](const Json& line, const Json& by) {
    return std::all_of(line.items().begin(), line.items().end(), [&](const auto& item) {
      if (is_circumstance(item.key())) return true;
      const auto other = by.find(item.key());
      return other != by.end() && *other == item.value();
    });
  };
  return covered(a, b) && covered(b, a);
}

std::string to_text(const Json& line) {
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json parse_line(std::string_view text) {
  Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (line.is_discarded()) throw Error("it is not JSON");
  for (const char* field : {"benchmark", "method", "keep"}) {
    if (!line.is_object() || !line.contains(field) || !line[field].is_string())
      throw Error(std::string("it has no \"") + field + "\"");
  }
  return line;
}

bool may_begin_line(std::string_view text) {
  const std::size_t n = std::min(text.size(), kStart.size());
  return text.substr(0, n) == kStart.substr(0, n);
}

}  // namespace chunkkv::eval
