#pragma once

#include <chunkkv/plan.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace chunkkv::serve {

/// How a request's cache is held: the field `kv`, or the server's flags.
struct KvSettings {
  std::shared_ptr<const Method> method;
  Budget keep;
  std::string keep_text = "100%";
  std::int32_t keep_at_least = 256;  ///< tokens that a share keeps of any prompt
  std::int32_t cells = 0;            ///< that the conversation may use; 0: as many as the prompt needs
  std::int32_t protect = -1;         ///< first tokens that are always kept; negative: the system prompt
  bool source = false;  ///< keep the whole prompt in host memory, and choose anew for each question
  std::string name;     ///< under which the prompt is saved; empty: none

  bool compresses() const { return !method->keeps_all(); }
  /// What two requests must agree on to share a compressed cache.
  std::string key() const;
};

/// A key of a method's spec and a budget, and back; the key of a whole cache is "full", which keeps "100%".
std::string key_of(const std::string& method, const std::string& keep);
struct KeyParts {
  std::string method, keep;
};
KeyParts parts_of_key(const std::string& key);

/// The settings with what `field` (an object, or null) changes. UsageError for what is no setting or value.
KvSettings with_field(KvSettings settings, const nlohmann::ordered_json& field);

/// UsageError for a name that is not a plain one: letters, digits, '.', '_' and '-', not first '.', up to
/// 128.
void require_plain_name(const std::string& name);

}  // namespace chunkkv::serve
