#pragma once

#include <chunkkv/plan.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace chunkkv::serve {

/// How a request's cache is compressed and kept: the server's flags, as changed by the request's field `kv`.
struct KvSettings {
  std::shared_ptr<const Method> method;
  Budget keep;
  std::string keep_text = "100%";
  std::int32_t keep_at_least = 256;  ///< entries that a share keeps however short the prompt is
  std::int32_t cells = 0;            ///< most cells of the conversation; 0: as many as the prompt needs
  std::int32_t protect = -1;         ///< first tokens that are always kept; negative: the system prompt
  bool source = false;  ///< keep the whole prompt in host memory, and choose anew for each question
  std::string name;     ///< name under which the prompt is saved; empty: it is not saved

  bool compresses() const { return !method->keeps_all(); }
  /// Returns the method and the budget as one text, "full" without compression: only requests with equal keys
  /// share a compressed cache.
  std::string key() const;
};

/// Joins a method's spec and a budget into a key.
std::string key_of(const std::string& method, const std::string& keep);
struct KeyParts {
  std::string method, keep;
};
/// Splits a key; the budget of "full", the key of a whole cache, is "100%".
KeyParts parts_of_key(const std::string& key);

/// Returns the settings as `field`, an object or null, changes them. UsageError for a wrong name or value.
KvSettings with_field(KvSettings settings, const nlohmann::ordered_json& field);

/// UsageError unless a name has 1 to 128 letters, digits, '.', '_' and '-', the first of which is not '.'.
void require_plain_name(const std::string& name);

}  // namespace chunkkv::serve
