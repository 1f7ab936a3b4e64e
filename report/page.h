#pragma once

#include "report/report.h"

#include <string>

namespace chunkkv::report {

/// The report as one HTML page that loads nothing: its data, its program and its charting library are in it.
std::string report_page(const Report& report);

}  // namespace chunkkv::report
