#include "serve/engine/kv_settings.h"

#include <chunkkv/error.h>
#include <chunkkv/registry.h>

#include <fmt/format.h>

#include <cstring>

namespace chunkkv::serve {
namespace {

constexpr const char* kBetween = " at ";
constexpr std::int32_t kMostCells = 1 << 24;

std::int32_t count(const nlohmann::ordered_json& value, const char* name) {
  if (!value.is_number_integer() || value.get<double>() < 0 || value.get<double>() > kMostCells)
    throw UsageError(
        fmt::format("kv.{} is a number of tokens from 0 to {}, not {}", name, kMostCells, value.dump()));
  return value.get<std::int32_t>();
}

std::string text(const nlohmann::ordered_json& value, const char* name) {
  if (!value.is_string()) throw UsageError(fmt::format("kv.{} is a text, not {}", name, value.dump()));
  return value.get<std::string>();
}

}  // namespace

std::string KvSettings::key() const {
  return compresses() ? key_of(method->spec(), keep_text) : "full";
}

std::string key_of(const std::string& method, const std::string& keep) {
  return method + kBetween + keep;
}

KeyParts parts_of_key(const std::string& key) {
  const std::size_t at = key.find(kBetween);
  if (at == key.npos) return {key, "100%"};
  return {key.substr(0, at), key.substr(at + std::strlen(kBetween))};
}

void require_plain_name(const std::string& name) {
  constexpr const char* plain = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";
  if (name.empty() || name.size() > 128 || name.front() == '.' || name.find_first_not_of(plain) != name.npos)
    throw UsageError("a name has 1 to 128 letters, digits, '_', '-' and '.', and does not begin with '.'");
}

KvSettings with_field(KvSettings settings, const nlohmann::ordered_json& field) {
  if (field.is_null()) return settings;
  if (!field.is_object())
    throw UsageError("kv is an object such as {\"method\": \"chunkkv\", \"keep\": \"20%\"}");
  for (const auto& [name, value] : field.items()) {
    if (value.is_null()) continue;
    if (name == "method") {
      settings.method = make_method(text(value, "method"));
    } else if (name == "keep") {
      settings.keep_text = value.is_number() ? value.dump() : text(value, "keep");
      settings.keep = Budget::parse(settings.keep_text);
    } else if (name == "keep_at_least") {
      settings.keep_at_least = count(value, "keep_at_least");
    } else if (name == "cells") {
      settings.cells = count(value, "cells");
    } else if (name == "protect") {
      settings.protect = value == "system" ? -1 : count(value, "protect");
    } else if (name == "source") {
      if (!value.is_boolean()) throw UsageError("kv.source is true or false, not " + value.dump());
      settings.source = value.get<bool>();
    } else if (name == "name") {
      settings.name = text(value, "name");
      require_plain_name(settings.name);
    } else {
      throw UsageError(fmt::format(
          "kv has no '{}'; it has method, keep, keep_at_least, cells, protect, source and name", name));
    }
  }
  return settings;
}

}  // namespace chunkkv::serve
