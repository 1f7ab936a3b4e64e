#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace chunkkv::eval {

/// One JSON object of a data file. Functions throw a BrokenRecord, which names file and line, for a field
/// that is missing or of another type; so does the constructor for other JSON than an object.
class Record {
 public:
  Record(nlohmann::json json, std::string source);

  const std::string& source() const { return source_; }

  std::string text(const char* key) const;
  std::string id(const char* key) const;             ///< a text, or a number as text
  std::string text_or_empty(const char* key) const;  ///< empty where it is missing or null
  /// A list of at least one text.
  std::vector<std::string> texts(const char* key) const;
  std::optional<double> number(const char* key) const;  ///< nothing where missing or null

 private:
  const nlohmann::json& value_of(const char* key) const;
  [[noreturn]] void fail(const char* key, const char* wanted) const;

  nlohmann::json json_;
  std::string source_;
};

}  // namespace chunkkv::eval
