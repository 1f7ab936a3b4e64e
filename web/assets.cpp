#include "web/assets.h"

#include <cassert>

namespace chunkkv::web {

std::string with_data(std::string_view page, std::string_view json) {
  constexpr std::string_view kPlace = "{{data}}";
  const std::size_t place = page.find(kPlace);
  assert(place != page.npos);
  std::string filled(page.substr(0, place));
  for (const char c : json) {
    if (c == '<')
      filled += "\\u003c";
    else
      filled += c;
  }
  filled += page.substr(place + kPlace.size());
  return filled;
}

}  // namespace chunkkv::web
