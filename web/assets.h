#pragma once

#include <string>
#include <string_view>

/// What CMake embeds: texts, and pages that are each in one file with their style and scripts and load
/// nothing from elsewhere.
namespace chunkkv::web {
namespace assets {

extern const std::string_view kept_page;    ///< HTML with {{data}}
extern const std::string_view report_page;  ///< HTML with {{data}}
extern const std::string_view serve_page;   ///< HTML; it sends requests only to the server that it came from
extern const std::string_view licenses;     ///< our own licence and those of what is linked or embedded

}  // namespace assets

/// `page` with `json` in place of its {{data}}, so that no end tag and no comment can begin in it.
std::string with_data(std::string_view page, std::string_view json);

}  // namespace chunkkv::web
