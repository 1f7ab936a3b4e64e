#include "report/page.h"

#include "report/assets.h"
#include "report/to_json.h"

#include <cassert>
#include <map>
#include <string_view>

namespace chunkkv::report {
namespace {

/// `text` with "{{name}}" replaced by the part of that name; parts are not looked into.
std::string fill(std::string_view text, const std::map<std::string_view, std::string_view>& parts) {
  std::string filled;
  for (;;) {
    const std::size_t begin = text.find("{{");
    filled += text.substr(0, begin);
    if (begin == std::string_view::npos) return filled;
    const std::size_t end = text.find("}}", begin);
    assert(end != std::string_view::npos);
    filled += parts.at(text.substr(begin + 2, end - begin - 2));
    text.remove_prefix(end + 2);
  }
}

}  // namespace

std::string report_page(const Report& report) {
  const std::string data = page_data(report);
  return fill(
      assets::page,
      {{"style", assets::style}, {"library", assets::library}, {"data", data}, {"script", assets::script}});
}

}  // namespace chunkkv::report
