#pragma once

#include "report/report.h"

#include <string>

namespace chunkkv::report {

/// The report's figures as JSON for the page's program; it has no "<", so that it can stand in a script
/// element.
std::string page_data(const Report& report);

}  // namespace chunkkv::report
