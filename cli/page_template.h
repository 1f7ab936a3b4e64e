#pragma once

#include <string_view>

namespace chunkkv::cli {

/// The page around its data: kPageBegin, a JSON object without "<", kPageEnd.
extern const std::string_view kPageBegin;
extern const std::string_view kPageEnd;

}  // namespace chunkkv::cli
