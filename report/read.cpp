#include "report/figures.h"
#include "report/results.h"
#include "store/standard_json.h"

#include <chunkkv/budget.h>
#include <chunkkv/error.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace chunkkv::report {
namespace {

using Json = nlohmann::json;

/// A JSON object's members with the checks that a line needs. UsageError names the key.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  const Json* find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  std::string text(const char* key) const {
    const Json* value = find(key);
    if (!value || !value->is_string() || value->get_ref<const std::string&>().empty())
      throw UsageError(fmt::format("it has no text \"{}\"", key));
    return value->get<std::string>();
  }

  std::string text_or(const char* key, std::string otherwise) const {
    return find(key) ? text(key) : std::move(otherwise);
  }

  /// An id may be a number in its own benchmark.
  std::string id(const char* key) const {
    const Json* value = find(key);
    return value && value->is_number_integer() ? value->dump() : text(key);
  }

  std::optional<double> number(const char* key) const {
    const Json* value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_number() || !std::isfinite(value->get<double>()))
      throw UsageError(fmt::format("\"{}\" is not a number", key));
    return value->get<double>();
  }

  /// 0 .. 1.
  std::optional<double> share(const char* key) const {
    const auto value = number(key);
    if (value && (*value < 0 || *value > 1))
      throw UsageError(fmt::format("\"{}\" is {}, not between 0 and 1", key, *value));
    return value;
  }

  std::optional<std::int64_t> integer(const char* key) const {
    const Json* value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_number_integer()) throw UsageError(fmt::format("\"{}\" is not a whole number", key));
    return value->get<std::int64_t>();
  }

  std::int64_t count(const char* key) const {
    const std::int64_t value = integer(key).value_or(0);
    if (value < 0) throw UsageError(fmt::format("\"{}\" is negative", key));
    return value;
  }

  /// The members of an object member; none where it is missing.
  Json object(const char* key) const {
    const Json* value = find(key);
    if (!value) return Json::object();
    if (!value->is_object()) throw UsageError(fmt::format("\"{}\" is not an object", key));
    return *value;
  }

  /// Numbers; none where they are missing.
  std::vector<double> numbers(const char* key) const {
    const Json* value = find(key);
    return value ? numbers(key, *value) : std::vector<double>();
  }

  std::vector<std::vector<double>> matrix(const char* key) const {
    std::vector<std::vector<double>> rows;
    const Json* value = find(key);
    if (!value) return rows;
    if (!value->is_array()) throw UsageError(fmt::format("\"{}\" is not a list", key));
    for (const Json& row : *value) rows.push_back(numbers(key, row));
    for (const auto& row : rows)
      if (row.size() != rows.size()) throw UsageError(fmt::format("\"{}\" is not square", key));
    return rows;
  }

 private:
  static std::vector<double> numbers(const char* key, const Json& list) {
    if (!list.is_array() ||
        !std::all_of(list.begin(), list.end(), [](const Json& n) { return n.is_number(); }))
      throw UsageError(fmt::format("\"{}\" is not a list of numbers", key));
    return list.get<std::vector<double>>();
  }

  const Json& object_;
};

Origin origin(const Fields& fields) {
  return {.model = fields.text_or("model", "(model not named)"),
          .model_hash = fields.text_or("model_hash", ""),
          .version = fields.text_or("version", ""),
          .machine = fields.text_or("machine", ""),
          .seed = fields.integer("seed")};
}

Setting setting(const Fields& fields) {
  const std::string query = fields.text_or("query", "aware");
  if (query != "aware" && query != "agnostic")
    throw UsageError(fmt::format("\"query\" is \"{}\", not \"aware\" or \"agnostic\"", query));
  return {.benchmark = fields.text("benchmark"),
          .query_aware = query == "aware",
          .cells = fields.count("cells"),
          .max_length = fields.count("max_length"),
          .others = fields.text_or("settings", "")};
}

Sample sample(const Fields& fields) {
  const std::string task = fields.text("task");
  return {.task = task,
          .group = fields.text_or("group", task),
          .id = fields.id("id"),
          .question = fields.count("question"),
          .data = fields.text_or("data", "")};
}

Pair pair(const Fields& fields) {
  return {.method = fields.text("method"), .keep = Budget::parse(fields.text("keep")).to_string()};
}

Answer answer(const Fields& fields) {
  const auto score = fields.share("score");
  const bool undecided = !score && fields.find("undecided") != nullptr;
  if (!score && !undecided) throw UsageError("it has no \"score\"");
  Answer answer{.origin = origin(fields),
                .setting = setting(fields),
                .sample = sample(fields),
                .pair = pair(fields),
                .prompt_tokens = fields.count("prompt_tokens"),
                .score = score.value_or(0),
                .undecided = undecided,
                .metrics = {},
                .length = fields.number("length"),
                .depth = fields.share("depth")};
  const Json metrics = fields.object("metrics");
  for (const auto& [name, value] : metrics.items())
    if (const auto number = Fields(metrics).share(name.c_str())) answer.metrics.emplace(name, *number);
  return answer;
}

Fidelity fidelity(const Fields& fields) {
  Fidelity line{.origin = origin(fields),
                .setting = setting(fields),
                .sample = sample(fields),
                .pair = pair(fields),
                .figures = {},
                .kv_l1_layers = fields.numbers("kv_l1_layers"),
                .attention_cosine_layers = fields.numbers("attention_cosine_layers"),
                .similarity = fields.matrix("similarity")};
  for (const Figure& figure : fidelity_figures())
    if (const auto number = fields.number(figure.key)) line.figures.emplace(figure.key, *number);
  return line;
}

/// Adds `figure` where all of its parts are there.
template <class... Part>
void add_sum(std::map<std::string, double>& figures, const char* figure, Part... part) {
  if ((part && ...)) figures.emplace(figure, (*part + ...));
}

Speed speed(const Fields& fields) {
  Speed line{.origin = origin(fields),
             .pair = pair(fields),
             .input = fields.count("input"),
             .output = fields.count("output"),
             .repetition = fields.count("repetition"),
             .figures = {}};
  if (line.input == 0 || line.output == 0) throw UsageError("it has no \"input\" and \"output\" above 0");

  const Json times = fields.object("ms");
  const Json memory = fields.object("bytes");
  const Fields ms(times);
  const Fields bytes(memory);
  add_sum(line.figures, "compression", ms.number("observe"), ms.number("select"), ms.number("move"));
  if (const auto total = ms.number("total"), per_token = ms.number("per_token");
      total && per_token && line.figures.contains("compression")) {
    const double answering = *per_token * double(line.output - 1);
    line.figures.emplace("answering", answering);
    line.figures.emplace("reading", std::max(0.0, *total - answering - line.figures.at("compression")));
  }
  add_sum(line.figures, "first_token", ms.number("first_token"));
  add_sum(line.figures, "per_token", ms.number("per_token"));
  add_sum(line.figures, "total", ms.number("total"));
  add_sum(line.figures, "throughput", fields.number("throughput"));
  add_sum(line.figures, "cache", bytes.number("after"));
  add_sum(line.figures, "peak", bytes.number("peak"));
  add_sum(line.figures, "gpu", bytes.number("gpu"));
  return line;
}

/// The parts apart, whatever they hold.
template <class... Part>
std::string key(const Part&... part) {
  return Json::array({part...}).dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// What names the measurement of one sample, but for its data.
std::string sample_key(const Origin& origin, const Setting& setting, const Sample& sample, const Pair& pair) {
  const auto& [benchmark, query_aware, cells, max_length, others] = setting;
  return key(benchmark, query_aware, cells, max_length, others, sample.task, sample.id, sample.question,
             pair.method, pair.keep, model_key(origin), origin.seed.value_or(0));
}

/// A needle's grid may be in its id or not.
std::string line_key(const Answer& line) {
  return sample_key(line.origin, line.setting, line.sample, line.pair) +
         key(line.length.value_or(-1), line.depth.value_or(-1));
}

std::string line_key(const Fidelity& line) {
  return sample_key(line.origin, line.setting, line.sample, line.pair);
}

std::string line_key(const Speed& line) {
  return key("perf", line.input, line.output, line.repetition, line.pair.method, line.pair.keep,
             model_key(line.origin), line.origin.machine);
}

template <class Line>
std::string data_of(const Line& line) {
  return line.sample.data;
}
std::string data_of(const Speed&) {
  return {};
}

Json parse(std::string_view line) {
  Json json = Json::parse(standard_json(line), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) throw UsageError("it is not valid JSON");
  return json;
}

/// Blanks, and the zero bytes that a power cut leaves.
constexpr std::string_view kBlanks{" \t\r\0", 4};

}  // namespace

std::string model_key(const Origin& origin) {
  return origin.model_hash.empty() ? "name " + origin.model : origin.model_hash;
}

template <class Line>
void ResultReader::put(std::vector<Line>& lines, Line line) {
  std::map<std::string, std::size_t>& known = places_[line_key(line)];
  const std::string data = data_of(line);
  const auto untold = known.find("");
  if (known.contains(data) || (data.empty() && !known.empty())) {
    ++results_.n_repeated;
  } else if (untold != known.end()) {
    const std::size_t place = untold->second;
    lines[place] = std::move(line);
    known = {{data, place}};
    ++results_.n_repeated;
  } else {
    known.emplace(data, lines.size());
    lines.push_back(std::move(line));
  }
}

void ResultReader::read_line(std::string_view text) {
  const Json object = parse(text);
  if (!object.is_object()) throw UsageError("it is not a JSON object");
  const Fields fields(object);
  const std::string benchmark = fields.text("benchmark");
  if (benchmark == "perf") {
    put(results_.speed, speed(fields));
  } else if (benchmark == "fidelity") {
    put(results_.fidelity, fidelity(fields));
  } else {
    put(results_.answers, answer(fields));
  }
  ++results_.n_lines;
}

void ResultReader::read(const std::string& file, std::string_view text) {
  results_.files.push_back(file);
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    line = line.substr(0, line.find_last_not_of(kBlanks) + 1);
    if (line.empty()) continue;
    try {
      read_line(line);
    } catch (const UsageError& error) {
      throw Error(fmt::format("{}, line {} is broken: {}; remove the line, or run its sample again", file,
                              number, error.what()));
    }
  }
}

}  // namespace chunkkv::report
