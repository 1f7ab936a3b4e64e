#pragma once

#include <server-task.h>

#include <string>
#include <vector>

/// For this folder only: no file outside it includes the headers of llama.cpp's server.
namespace chunkkv::serve {

struct RequestRules {
  task_params params;
};

}  // namespace chunkkv::serve
