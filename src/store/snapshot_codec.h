#pragma once

#include <chunkkv/snapshot.h>

#include "store/bytes.h"

namespace chunkkv {

/// Code all of a snapshot but the engine's state. Reading throws Error when the bytes are no snapshot's.
void write_snapshot(ByteWriter& out, const Snapshot& snapshot);
Snapshot read_snapshot(ByteReader& in);

/// Error with a reason when the parts of a snapshot do not fit together.
void check_snapshot(const Snapshot& snapshot);

}  // namespace chunkkv
