#include "report/page.h"

#include "report/to_json.h"
#include "web/assets.h"
#include "web/page.h"

namespace chunkkv::report {

std::string report_page(const Report& report) {
  const std::string data = page_data(report);
  return web::fill(web::assets::report_page, {{"style", web::assets::report_style},
                                              {"library", web::assets::chart_library},
                                              {"data", data},
                                              {"script", web::assets::report_script}});
}

}  // namespace chunkkv::report
