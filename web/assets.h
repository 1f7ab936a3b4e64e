#pragma once

#include <string_view>

/// The files of this folder, and the texts and the library that CMakeLists.txt names, embedded by CMake.
namespace chunkkv::web::assets {

extern const std::string_view kept_page;  ///< HTML with {{style}}, {{data}} and {{script}}
extern const std::string_view kept_style;
extern const std::string_view kept_script;

extern const std::string_view report_page;  ///< HTML with {{style}}, {{library}}, {{data}} and {{script}}
extern const std::string_view report_style;
extern const std::string_view report_script;
extern const std::string_view chart_library;

extern const std::string_view serve_page;  ///< HTML with {{style}} and {{script}}
extern const std::string_view serve_style;
extern const std::string_view serve_script;

extern const std::string_view
    licenses;  ///< the project's own licence and those of what is linked or embedded

}  // namespace chunkkv::web::assets
