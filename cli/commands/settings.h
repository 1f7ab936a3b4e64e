#pragma once

#include <fmt/format.h>

#include <string>

namespace chunkkv::cli {

/// Names and values of options that are not at their defaults, as text: "n=64 ctk=q8_0". Part of what tells
/// one result from another.
class Settings {
 public:
  template <class Value>
  void add(const char* name, const Value& value, const Value& usual) {
    if (value != usual) text_ += fmt::format("{}{}={}", text_.empty() ? "" : " ", name, value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace chunkkv::cli
