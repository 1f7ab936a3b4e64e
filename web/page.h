#pragma once

#include <map>
#include <string>
#include <string_view>

/// Self-contained pages: HTML with its style, scripts and data in one file, nothing loaded from elsewhere.
namespace chunkkv::web {

/// `page` with every "{{name}}" replaced by the part of that name. Parts are not searched for names.
/// Every name in the page must be among the parts.
std::string fill(std::string_view page, const std::map<std::string_view, std::string_view>& parts);

/// `json` so that it can stand inside a script element: no end tag and no comment can begin in it.
std::string script_safe(std::string_view json);

}  // namespace chunkkv::web
