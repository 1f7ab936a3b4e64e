#include "web/serve_page.h"

#include "web/assets.h"
#include "web/page.h"

namespace chunkkv::web {

std::string serve_page() {
  return fill(assets::serve_page, {{"style", assets::serve_style}, {"script", assets::serve_script}});
}

}  // namespace chunkkv::web
