#include "data/record.h"

#include "benchmark.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv::eval {

Record::Record(nlohmann::json json, std::string source) : json_(std::move(json)), source_(std::move(source)) {
  if (!json_.is_object()) {
    throw BrokenRecord(
        fmt::format("{}: this is no JSON object; a record is {{\"key\": value, ...}}", source_));
  }
}

void Record::fail(const char* key, const char* wanted) const {
  throw BrokenRecord(fmt::format("{}: \"{}\" must be {}{}", source_, key, wanted,
                                 json_.contains(key) ? "" : ", and is missing"));
}

const nlohmann::json& Record::value_of(const char* key) const {
  static const nlohmann::json none;
  const auto found = json_.find(key);
  return found == json_.end() ? none : *found;
}

std::string Record::text(const char* key) const {
  const nlohmann::json& value = value_of(key);
  if (!value.is_string()) fail(key, "a text");
  return value.get<std::string>();
}

std::string Record::id(const char* key) const {
  const nlohmann::json& value = value_of(key);
  if (value.is_number()) return value.dump();
  if (!value.is_string()) fail(key, "a text or a number");
  return value.get<std::string>();
}

std::string Record::text_or_empty(const char* key) const {
  return value_of(key).is_null() ? std::string() : text(key);
}

std::vector<std::string> Record::texts(const char* key) const {
  const nlohmann::json& value = value_of(key);
  const auto is_text = [](const nlohmann::json& element) { return element.is_string(); };
  if (!value.is_array() || value.empty() || !std::all_of(value.begin(), value.end(), is_text))
    fail(key, "a list of texts");
  return value.get<std::vector<std::string>>();
}

std::optional<double> Record::number(const char* key) const {
  const nlohmann::json& value = value_of(key);
  if (value.is_null()) return std::nullopt;
  if (!value.is_number()) fail(key, "a number");
  return value.get<double>();
}

}  // namespace chunkkv::eval
