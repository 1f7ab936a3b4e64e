#pragma once

#include "cli/terminal/progress.h"

#include <string>

namespace chunkkv::cli {

struct SyntheticArguments {
  std::string shape;  ///< empty: a model from a file
  std::string type = "q4_0";
};

/// A model of the shape with random weights: the file `path`, or one in the user's cache folder where it is
/// empty. It is written unless it is there already. UsageError when `path` is something else; Error when
/// there is no room.
std::string synthetic_model(const SyntheticArguments& arguments, const std::string& path,
                            const ProgressArguments& progress);

}  // namespace chunkkv::cli
