#pragma once

#include "serve/edges/dialect.h"

#include <server-task.h>

#include <cstddef>

/// For this folder only: refuses what llama.cpp's parsers accept, but no server can do, or only by holding up
/// all other clients.
namespace chunkkv::serve {

/// UsageError for a body that its dialect's parser would misunderstand, or that sets a field of the server.
void check_body(Dialect dialect, const common_json& body);

/// UsageError for parameters with which one token would take seconds or gigabytes. Cuts lengths that are
/// beyond the context, which changes no result.
void limit_params(task_params& params, std::size_t n_context);

}  // namespace chunkkv::serve
