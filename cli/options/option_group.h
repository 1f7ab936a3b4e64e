#pragma once

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>

namespace chunkkv::cli {

/// Declares the options of one group of a command's help.
class OptionGroup {
 public:
  /// Without a name, the options are listed among the command's own.
  explicit OptionGroup(CLI::App& command, std::string name = {})
      : command_(command), name_(std::move(name)) {}

  /// `text` stands for the value in the help.
  template <class Value>
  CLI::Option* add(const char* names, Value& value, const std::string& help, const char* text) const {
    return placed(command_.add_option(names, value, help)->option_text(text));
  }
  /// A number from `least` to `most`.
  template <class Value, class Bound>
  CLI::Option* add(const char* names, Value& value, const std::string& help, const char* text, Bound least,
                   Bound most) const {
    return add(names, value, help, text)->check(is_within(least, most));
  }
  /// Numbers from `least` to `most`, separated by commas.
  template <class Value, class Bound>
  CLI::Option* add_list(const char* names, Value& values, const std::string& help, const char* text,
                        Bound least, Bound most) const {
    return add(names, values, help, text)
        ->delimiter(',')
        ->take_all()
        ->allow_extra_args(false)
        ->check(is_within(least, most));
  }
  CLI::Option* flag(const char* names, bool& value, const std::string& help) const {
    return placed(command_.add_flag(names, value, help));
  }

 private:
  /// CLI::Range that refuses what is no number as well: "nan" is neither below nor above anything.
  template <class Bound>
  static CLI::Validator is_within(Bound least, Bound most) {
    CLI::Validator range = CLI::Range(least, most);
    if constexpr (!std::is_floating_point_v<Bound>) return range;
    return range & CLI::Validator(
                       [](const std::string& text) {
                         const double number = std::strtod(text.c_str(), nullptr);
                         return number == number ? std::string() : "'" + text + "' is no number";
                       },
                       "");
  }
  CLI::Option* placed(CLI::Option* option) const { return name_.empty() ? option : option->group(name_); }

  CLI::App& command_;
  std::string name_;
};

}  // namespace chunkkv::cli
