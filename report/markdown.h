#pragma once

#include "report/report.h"

#include <string>

namespace chunkkv::report {

/// The report's tables as GitHub-flavoured Markdown, for READMEs.
std::string markdown(const Report& report);

}  // namespace chunkkv::report
