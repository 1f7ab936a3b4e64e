#pragma once

#include "serve/http/service.h"

#include <cstdint>
#include <string>

namespace chunkkv::serve {

/// Lists the conversations in the cache, and the empty places among the first `Service::n_parallel`.
Reply list_slots(const Service& service);
/// `action` is "save", "restore" or "erase"; `body` names the file of the first two. UsageError for anything
/// else, without room, and while the conversation is being answered.
Reply act_on_slot(const Service& service, std::int64_t slot, const std::string& action,
                  const std::string& body);
/// Lists the tokens that a conversation has read, and which of them any KV head of `layer` keeps. UsageError
/// for an unknown layer.
Reply show_kept(const Service& service, std::int64_t slot, std::int64_t layer);

}  // namespace chunkkv::serve
