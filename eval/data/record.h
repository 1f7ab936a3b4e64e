#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// One JSON object of a data file. What is missing or of another type is a BrokenRecord that names file and
/// line.
class Record {
 public:
  Record(nlohmann::json json, std::string source);

  const std::string& source() const { return source_; }

  std::string text(const char* key) const;
  std::string id(const char* key) const;             ///< a text, or a number as text
  std::string text_or_empty(const char* key) const;  ///< also for null
  /// At least one.
  std::vector<std::string> texts(const char* key) const;
  std::vector<std::string> texts_or_none(const char* key) const;  ///< also for null
  std::optional<double> number(const char* key) const;            ///< also for null

 private:
  const nlohmann::json& value_of(const char* key) const;
  [[noreturn]] void fail(const char* key, const char* wanted) const;

  nlohmann::json json_;
  std::string source_;
};

}  // namespace chunkkv::eval
