#pragma once

#include <span>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// 1 / number of classes that the answer names when the right one is among them, else 0. A class whose name
/// is a part of the right one's does not count, unless it directly follows another such class in the list of
/// those named: LongBench's classification_score removes from the list that it iterates over, and so do we.
double classification(std::string_view answer, std::string_view right, std::span<const std::string> classes);

}  // namespace chunkkv::eval
