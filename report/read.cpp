#include "base/blanks.h"
#include "base/standard_json.h"
#include "report/results.h"
#include "results/fields.h"

#include <chunkkv/error.h>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv::report {
namespace {

using results::Json;

Json parse(std::string_view line) {
  Json json = Json::parse(standard_json(line), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) throw UsageError("it is not valid JSON");
  return json;
}

}  // namespace

template <class Line>
void ResultReader::put(std::vector<Line>& lines, Line line) {
  std::map<std::string, std::size_t>& known = places_[key(line)];
  std::string data;  // of what speed depends on there is no digest
  if constexpr (requires { line.sample; }) data = line.sample.data;
  const auto without_data = known.find("");
  if (known.contains(data) || (data.empty() && !known.empty())) {
    ++results_.n_repeated;
  } else if (without_data != known.end()) {
    const std::size_t place = without_data->second;
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
  const std::string benchmark = results::Fields(object).text("benchmark");
  if (benchmark == "perf") {
    put(results_.speed, results::speed_record(object));
  } else if (benchmark == "fidelity") {
    put(results_.fidelity, results::fidelity_record(object));
  } else {
    put(results_.answers, results::answer_record(object));
  }
  ++results_.n_lines;
}

void ResultReader::read(const std::string& file, std::string_view text) {
  results_.files.push_back(file);
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = without_blanks(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
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
