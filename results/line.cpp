#include "results/line.h"

#include "base/blanks.h"
#include "base/standard_json.h"

#include <chunkkv/error.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace chunkkv::results {
namespace {

/// How a line begins as we write it, and as Python writes it again.
constexpr std::array<std::string_view, 2> kStarts = {R"({"benchmark":")", R"({"benchmark": ")"};

constexpr std::array kKeyFields = {"benchmark",  "task",       "id",    "question", "method",
                                   "keep",       "query",      "cells", "seed",     "length",
                                   "max_length", "model_hash", "input", "output",   "settings",
                                   "depth",      "repetition", "data",  "window"};

/// Fields that may differ when a measurement is repeated.
constexpr std::array kVaryingFields = {"ms", "throughput", "bytes", "machine", "version", "model"};

}  // namespace

Json plain_number(const Json& value) {
  constexpr double kExact = 1LL << 53;
  if (!value.is_number_float()) return value;
  const auto number = value.get<double>();
  const bool is_whole = std::abs(number) < kExact && number == std::floor(number);
  return is_whole ? Json(std::int64_t(number)) : value;
}

double rounded(double value) {
  return std::round(value * 1000) / 1000;
}

std::string result_key(const Json& line) {
  Json key = Json::array();
  const auto add = [&](const char* field) {
    const auto value = line.find(field);
    key.push_back(value == line.end() ? Json() : plain_number(*value));
  };
  for (const char* field : kKeyFields) add(field);
  if (!line.contains("model_hash")) add("model");  // the name alone then tells models apart
  // Speed depends on the machine as well.
  if (const auto benchmark = line.find("benchmark"); benchmark != line.end() && *benchmark == "perf")
    add("machine");
  return key.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool same_result(const Json& a, const Json& b) {
  const auto is_varying = [](const std::string& name) {
    return std::find(kVaryingFields.begin(), kVaryingFields.end(), name) != kVaryingFields.end();
  };
  const auto covered = [&](const Json& line, const Json& by) {
    return std::all_of(line.items().begin(), line.items().end(), [&](const auto& item) {
      if (is_varying(item.key())) return true;
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
  Json line = Json::parse(standard_json(without_blanks(text)), nullptr, /*allow_exceptions=*/false);
  if (line.is_discarded()) throw Error("it is not JSON");
  for (const char* field : {"benchmark", "method", "keep"}) {
    if (!line.is_object() || !line.contains(field) || !line[field].is_string())
      throw Error(std::string("it has no \"") + field + "\"");
  }
  return line;
}

bool may_begin_line(std::string_view text) {
  return std::any_of(kStarts.begin(), kStarts.end(), [&](std::string_view start) {
    const std::size_t n = std::min(text.size(), start.size());
    return text.substr(0, n) == start.substr(0, n);
  });
}

}  // namespace chunkkv::results
