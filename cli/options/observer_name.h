#pragma once

#include <chunkkv/reading.h>

#include <string>
#include <string_view>

namespace chunkkv::cli {

/// The observer named "question", "window" or "both". UsageError for another name lists these.
ObserverKind parse_observer(std::string_view name);
std::string to_string(ObserverKind observer);

}  // namespace chunkkv::cli
