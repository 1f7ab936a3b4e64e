#pragma once

#include <chunkkv/method.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chunkkv {

/// One parameter of a method as users see it.
struct ParameterInfo {
  enum class Kind : std::uint8_t { integer, real, choice };
  std::string name;
  Kind kind = Kind::integer;
  std::string default_value;
  double min = 0, max = 0;                ///< inclusive bounds of an integer or real
  std::vector<std::string> choices = {};  ///< allowed values of a choice
  std::string help;                       ///< one line
  /// Another default, which holds where the parameter `choice`, declared before this one, has `value`.
  struct Otherwise {
    std::string choice, value, default_value;
  };
  std::vector<Otherwise> otherwise = {};
};

/// Parsed parameters; every declared name is present and in range. Asking for another name is a bug
/// (std::logic_error).
class Parameters {
 public:
  std::int32_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  const std::string& choice(std::string_view name) const;
  bool flag(std::string_view name) const { return integer(name) != 0; }
  void set(std::string name, std::string value) { values_[std::move(name)] = std::move(value); }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

/// One method as users see it.
struct MethodInfo {
  std::string name;
  std::string summary;  ///< one line
  std::string paper;    ///< title and arXiv number, or the source of the formula
  std::vector<ParameterInfo> parameters;
  std::function<std::shared_ptr<Method>(const Parameters&)> make;
};

/// All methods, in the order in which they are listed to users.
std::span<const MethodInfo> methods();

/// Makes a method from a spec, "name" or "name:key=value,key=value". UsageError, which names what is allowed,
/// for any other text. Thread-safe.
std::shared_ptr<const Method> make_method(std::string_view spec);

}  // namespace chunkkv
