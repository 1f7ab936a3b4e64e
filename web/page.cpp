#include "web/page.h"

#include <cassert>

namespace chunkkv::web {

std::string fill(std::string_view page, const std::map<std::string_view, std::string_view>& parts) {
  std::string filled;
  for (;;) {
    const std::size_t begin = page.find("{{");
    filled += page.substr(0, begin);
    if (begin == std::string_view::npos) return filled;
    const std::size_t end = page.find("}}", begin);
    assert(end != std::string_view::npos);
    filled += parts.at(page.substr(begin + 2, end - begin - 2));
    page.remove_prefix(end + 2);
  }
}

std::string script_safe(std::string_view json) {
  std::string safe;
  safe.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace chunkkv::web
