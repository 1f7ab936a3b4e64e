#pragma once

#include <string_view>

/// The page's parts as they lie in report/page, and the charting library: embedded by CMake.
namespace chunkkv::report::assets {

extern const std::string_view page;   ///< HTML with {{style}}, {{library}}, {{data}} and {{script}}
extern const std::string_view style;  ///< CSS
extern const std::string_view script;
extern const std::string_view library;

}  // namespace chunkkv::report::assets
