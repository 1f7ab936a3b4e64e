#pragma once

#include <span>
#include <string>
#include <string_view>

namespace chunkkv::eval {

/// Share of the references that the answer contains, ignoring upper and lower case; 0 without references.
/// RULER's string match (arXiv 2404.06654).
double substring_share(std::string_view answer, std::span<const std::string> references);

}  // namespace chunkkv::eval
