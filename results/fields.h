#pragma once

#include "results/identity.h"

#include <chunkkv/error.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace chunkkv::results {

/// A JSON object's members with the checks that a line needs. UsageError names the key.
class Fields {
 public:
  /// Keeps a reference.
  explicit Fields(const Json& object) : object_(object) {}

  /// Null where it is missing or null.
  const Json* find(const char* key) const;
  /// One that must be there and not be empty.
  std::string text(const char* key) const;
  std::string text_or(const char* key, std::string otherwise) const;
  /// An id may be a number in its own benchmark.
  std::string id(const char* key) const;
  std::optional<double> number(const char* key) const;
  /// 0 .. 1.
  std::optional<double> share(const char* key) const;
  std::optional<std::int64_t> integer(const char* key) const;
  /// 0 where it is missing.
  std::int64_t count(const char* key) const;
  /// The members of an object member; none where it is missing.
  Json object(const char* key) const;
  /// Numbers; none where they are missing.
  std::vector<double> numbers(const char* key) const;
  /// A square of numbers; none where it is missing.
  std::vector<std::vector<double>> matrix(const char* key) const;

  // What `identity_columns` and `add_origin` write.
  Origin origin() const;
  Setting setting() const;
  Sample sample() const;
  Pair pair() const;

 private:
  const Json& object_;
};

/// The parts apart, whatever they hold.
template <class... Part>
std::string joined(const Part&... part) {
  return Json::array({part...}).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace chunkkv::results
