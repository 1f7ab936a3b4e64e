#pragma once

#include "cli/terminal/progress.h"

#include <string>

namespace chunkkv::cli {

struct SyntheticArguments {
  std::string shape;  ///< empty: a model from a file
  std::string type = "q4_0";
};

/// The path of a model of the shape with random weights: `path`, or a file in the user's cache folder where
/// that is empty. The file is written unless it is there already. UsageError when it holds something else;
/// Error when the disk is full.
std::string synthetic_model(const SyntheticArguments& arguments, const std::string& path,
                            const ProgressArguments& progress);

}  // namespace chunkkv::cli
