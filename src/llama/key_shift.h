#pragma once

#include <chunkkv/cache.h>
#include <chunkkv/model.h>

#include <vector>

namespace chunkkv::engine {

class Context;
struct CacheLayer;

/// UsageError where the engine would stop the program if it tried to turn cached keys to other positions.
/// This is known from the type of the keys and the model's metadata.
void require_shiftable_keys(const Model& model, CacheType keys);

/// UsageError where the engine cannot turn cached keys or turns them wrongly. This is tried once, in an empty
/// cache: a token that is read alone has the same keys at every position but for their rotation, so a turned
/// key must equal the key that is read at the new position. It does not where a layer uses no RoPE, nor where
/// RoPE scales keys (YaRN, LongRoPE), since each turn scales them again. The context itself is tried, with
/// all that was overridden in it and its model, and is empty afterwards. `layers`: those of the context.
void require_exact_shifts(Context& context, const std::vector<CacheLayer>& layers);

}  // namespace chunkkv::engine
