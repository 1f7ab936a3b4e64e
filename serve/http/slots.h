#pragma once

#include "serve/http/service.h"

#include <cstdint>
#include <string>

namespace chunkkv::serve {

/// The conversations that are live in the cache, and those that wait in host memory.
Reply list_slots(const Service& service);
/// "save", "restore" or "erase"; `body` names the file. UsageError for what is not allowed.
Reply act_on_slot(const Service& service, std::int64_t slot, const std::string& action,
                  const std::string& body);
/// The tokens that a conversation has read, and which of them a layer keeps.
Reply show_kept(const Service& service, std::int64_t slot, std::int64_t layer);

}  // namespace chunkkv::serve
