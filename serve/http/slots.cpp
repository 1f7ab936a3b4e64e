#include "serve/http/slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace chunkkv::serve {
namespace {

using Json = nlohmann::ordered_json;

Reply not_found(std::int64_t slot) {
  return error_reply(Dialect::native, Fault::not_found, fmt::format("there is no conversation {}", slot));
}

std::string file_name(const std::string& body) {
  const Json json = parse_object(body);
  if (!json.contains("filename") || !json["filename"].is_string())
    throw UsageError("name the file: {\"filename\": \"contract-17\"}");
  std::string name = json["filename"].get<std::string>();
  require_plain_name(name);
  return name;
}

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

Reply save(const Service& service, std::int64_t slot, const std::string& name) {
  const auto start = std::chrono::steady_clock::now();
  std::optional<HostCopy> copy;
  service.scheduler.between_steps([&] {
    const Conversation* const c = service.scheduler.conversations().with_sequence(slot);
    if (c == nullptr || service.scheduler.conversations().is_empty(*c)) return;
    if (c->is_busy)
      throw UsageError(fmt::format("conversation {} is being answered; save it afterwards", slot));
    copy = service.scheduler.copy_of(*c);
  });
  if (!copy) return not_found(slot);
  copy->name = name;
  const std::uint64_t bytes = service.files.save(name, *copy);
  return ok({{"id_slot", slot},
             {"filename", name},
             {"n_saved", copy->snapshot.tokens.size()},
             {"n_written", bytes},
             {"timings", {{"save_ms", ms_since(start)}}}});
}

/// Loads a saved prompt. A file that cannot be used is the client's fault: Error becomes UsageError.
HostCopy load(const Service& service, const std::string& name) {
  try {
    return service.files.load(name);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

Reply restore(const Service& service, const std::string& name) {
  const auto start = std::chrono::steady_clock::now();
  const HostCopy copy = load(service, name);
  std::int64_t slot = -1;
  service.scheduler.between_steps([&] {
    if (const Conversation* c = service.scheduler.restore(copy)) slot = c->sequence->id();
  });
  if (slot < 0)
    throw UsageError(
        fmt::format("'{}' needs {} cells, which are not free now", name, copy.snapshot.n_entries));
  return ok({{"id_slot", slot},
             {"filename", name},
             {"n_restored", copy.snapshot.tokens.size()},
             {"n_read", copy.bytes()},
             {"timings", {{"restore_ms", ms_since(start)}}}});
}

Reply erase(const Service& service, std::int64_t slot) {
  std::int64_t n_erased = -1;
  service.scheduler.between_steps([&] {
    Conversation* const c = service.scheduler.conversations().with_sequence(slot);
    if (c == nullptr) return;
    if (c->is_busy) throw UsageError(fmt::format("conversation {} is being answered; end that first", slot));
    n_erased = c->sequence->n_entries();
    service.scheduler.conversations().clear(*c);
  });
  if (n_erased < 0) return not_found(slot);
  return ok({{"id_slot", slot}, {"n_erased", n_erased}});
}

}  // namespace

Reply list_slots(const Service& service) {
  Json slots = Json::array();
  service.scheduler.between_steps([&] {
    for (const Conversation& c : service.scheduler.conversations().all()) {
      const CacheUse use = c.sequence->use();
      if (use.cells_used == 0 && !c.is_busy && c.sequence->id() >= service.n_parallel) continue;
      const KeyParts key = parts_of_key(c.key);
      slots.push_back({{"id", c.sequence->id()},
                       {"n_ctx", service.session.options().n_cells},
                       {"is_processing", c.is_busy},
                       {"name", c.name},
                       {"n_tokens", c.sequence->tokens().size()},
                       {"cells", use.cells_used},
                       {"bytes", use.bytes_used},
                       {"method", key.method},
                       {"keep", key.keep}});
    }
  });
  return ok(slots);
}

Reply act_on_slot(const Service& service, std::int64_t slot, const std::string& action,
                  const std::string& body) {
  if (action == "save") return save(service, slot, file_name(body));
  if (action == "restore") return restore(service, file_name(body));
  if (action == "erase") return erase(service, slot);
  throw UsageError("the action is save, restore or erase");
}

Reply show_kept(const Service& service, std::int64_t slot, std::int64_t layer) {
  std::optional<std::vector<Token>> tokens;
  std::vector<bool> is_kept;
  const auto& n_heads = service.session.cache_parts().n_head_kv;
  if (layer < 0 || layer >= std::int64_t(n_heads.size()))
    throw UsageError(fmt::format("the layer is a number from 0 to {}", n_heads.size() - 1));
  service.scheduler.between_steps([&] {
    const Conversation* const c = service.scheduler.conversations().with_sequence(slot);
    if (c == nullptr || service.scheduler.conversations().is_empty(*c)) return;
    tokens = c->sequence->tokens();
    is_kept.resize(tokens->size());
    for (std::int32_t head = 0; head < n_heads[std::size_t(layer)]; ++head)
      for (const Position position : c->sequence->positions(std::int32_t(layer), head))
        is_kept[std::size_t(position)] = true;
  });
  if (!tokens) return not_found(slot);
  Json pieces = Json::array(), kept = Json::array();
  for (const Token token : *tokens) pieces.push_back(service.model->detokenize(token));
  for (std::size_t i = 0; i < is_kept.size();) {
    const bool value = is_kept[i];
    const std::size_t begin = i;
    while (i < is_kept.size() && is_kept[i] == value) ++i;
    if (value) kept.push_back({begin, i});
  }
  return ok({{"slot", slot},
             {"layer", layer},
             {"n_layer", n_heads.size()},
             {"pieces", std::move(pieces)},
             {"kept", std::move(kept)}});
}

}  // namespace chunkkv::serve
