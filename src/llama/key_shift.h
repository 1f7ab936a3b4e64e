#pragma once

#include <chunkkv/cache.h>
#include <chunkkv/model.h>

#include <cstdint>
#include <map>

namespace chunkkv::engine {

class Context;
struct CacheLayer;

/// Whether the engine can turn cached keys to other positions. `require_turnable` looks at what it could not
/// even try without stopping the program, from the model's metadata; UsageError then.
void require_turnable(const Model& model, CacheType keys);

/// Tries it, once, in a cache that holds nothing: a token that is read alone has the same keys at every
/// position but for their rotation, so a turned key must be the one that is read at the new position. It is
/// not where a layer uses no RoPE, and where RoPE scales keys (YaRN, LongRoPE), which each turn does again.
/// UsageError then. Whatever was overridden when model and context were made is tried with it.
/// `layers`: those of the context.
void require_right_shifts(Context& context, const std::map<std::int32_t, CacheLayer>& layers);

}  // namespace chunkkv::engine
