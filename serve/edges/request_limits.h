#pragma once

#include "serve/edges/dialect.h"

#include <server-task.h>

#include <cstddef>

/// For this folder only: what llama.cpp's parsers take and no server can do, or do for one client alone.
namespace chunkkv::serve {

/// UsageError for a body that its dialect's parser would misunderstand, or that sets what only the server
/// knows.
void require_plain_body(Dialect dialect, const common_json& body);

/// UsageError for parameters with which one token would take seconds or gigabytes. Lengths beyond the
/// context are cut to it: they mean the same.
void limit_params(task_params& params, std::size_t n_context);

}  // namespace chunkkv::serve
