#pragma once

#include "results/identity.h"

#include <chunkkv/error.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace chunkkv::results {

/// Reads the members of a JSON object with the checks that a line of results needs. UsageError names the key.
class Fields {
 public:
  /// Keeps a reference to `object`.
  explicit Fields(const Json& object) : object_(object) {}

  /// The member of any type; nullptr where it is missing or null.
  const Json* find(const char* key) const;
  /// A text that must be there and not be empty.
  std::string text(const char* key) const;
  std::string text_or(const char* key, std::string otherwise) const;
  /// A text or a whole number: benchmarks use both as ids.
  std::string id(const char* key) const;
  std::optional<double> number(const char* key) const;
  /// A number that must be within 0 .. 1.
  std::optional<double> share(const char* key) const;
  std::optional<std::int64_t> integer(const char* key) const;
  /// A whole number of 0 or more; 0 where it is missing.
  std::int64_t count(const char* key) const;
  /// A member that is an object; an empty object where it is missing.
  Json object(const char* key) const;
  /// A list of numbers; empty where it is missing.
  std::vector<double> numbers(const char* key) const;
  /// A square matrix, by rows; empty where it is missing.
  std::vector<std::vector<double>> matrix(const char* key) const;

  // Read back what `identity_columns` and `add_origin` write.
  Origin origin() const;
  Setting setting() const;
  Sample sample() const;
  Pair pair() const;

 private:
  const Json& object_;
};

/// The parts as one key: equal only when all parts are, whatever they hold.
template <class... Part>
std::string key_of_parts(const Part&... part) {
  return Json::array({part...}).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace chunkkv::results
