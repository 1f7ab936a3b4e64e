#pragma once

#include <cstdint>

namespace chunkkv::kernels {
namespace {

/// When a query takes a strip of cells, see `StripOrder`.
enum Phase { kFirstStrip, kLocalStrips, kOtherStrips, kPhases };

/// The strips of the first and the last cell that a token's queries see; -1 if they see none.
struct Ends {
  std::int64_t first, last;
};

/// The strips of the first and the last cell that a tile's queries see; `is_one`: all have the same.
struct TileEnds {
  std::int64_t first, last;
  bool is_one;
};

}  // namespace
}  // namespace chunkkv::kernels
