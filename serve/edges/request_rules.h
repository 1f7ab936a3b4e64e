#pragma once

#include <server-task.h>

#include <string>
#include <vector>

/// For this folder only: everything that includes the headers of llama.cpp's server lies in it.
namespace chunkkv::serve {

struct RequestRules {
  task_params params;
};

}  // namespace chunkkv::serve
