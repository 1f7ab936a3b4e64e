#include "results/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace chunkkv::results {
namespace {

std::vector<double> numbers_of(const char* key, const Json& list) {
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), [](const Json& n) { return n.is_number(); }))
    throw UsageError(fmt::format("\"{}\" is not a list of numbers", key));
  return list.get<std::vector<double>>();
}

}  // namespace

const Json* Fields::find(const char* key) const {
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

std::string Fields::text(const char* key) const {
  const Json* value = find(key);
  if (!value || !value->is_string() || value->get_ref<const std::string&>().empty())
    throw UsageError(fmt::format("it has no text \"{}\"", key));
  return value->get<std::string>();
}

std::string Fields::text_or(const char* key, std::string otherwise) const {
  return find(key) ? text(key) : std::move(otherwise);
}

std::string Fields::id(const char* key) const {
  const Json* value = find(key);
  return value && value->is_number_integer() ? value->dump() : text(key);
}

std::optional<double> Fields::number(const char* key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>()))
    throw UsageError(fmt::format("\"{}\" is not a number", key));
  return value->get<double>();
}

std::optional<double> Fields::share(const char* key) const {
  const auto value = number(key);
  if (value && (*value < 0 || *value > 1))
    throw UsageError(fmt::format("\"{}\" is {}, not between 0 and 1", key, *value));
  return value;
}

std::optional<std::int64_t> Fields::integer(const char* key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number_integer()) throw UsageError(fmt::format("\"{}\" is not a whole number", key));
  return value->get<std::int64_t>();
}

std::int64_t Fields::count(const char* key) const {
  const std::int64_t value = integer(key).value_or(0);
  if (value < 0) throw UsageError(fmt::format("\"{}\" is negative", key));
  return value;
}

Json Fields::object(const char* key) const {
  const Json* value = find(key);
  if (!value) return Json::object();
  if (!value->is_object()) throw UsageError(fmt::format("\"{}\" is not an object", key));
  return *value;
}

std::vector<double> Fields::numbers(const char* key) const {
  const Json* value = find(key);
  return value ? numbers_of(key, *value) : std::vector<double>();
}

std::vector<std::vector<double>> Fields::matrix(const char* key) const {
  std::vector<std::vector<double>> rows;
  const Json* value = find(key);
  if (!value) return rows;
  if (!value->is_array()) throw UsageError(fmt::format("\"{}\" is not a list", key));
  for (const Json& row : *value) rows.push_back(numbers_of(key, row));
  for (const auto& row : rows)
    if (row.size() != rows.size()) throw UsageError(fmt::format("\"{}\" is not square", key));
  return rows;
}

}  // namespace chunkkv::results
