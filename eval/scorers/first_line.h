#pragma once

#include <string_view>

namespace chunkkv::eval {

/// The answer's first line after leading line breaks, which LongBench scores in its few-shot tasks.
std::string_view first_line(std::string_view answer);

}  // namespace chunkkv::eval
