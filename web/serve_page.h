#pragma once

#include <string>

namespace chunkkv::web {

/// The page of `chunkkv serve`, in one file. It asks nothing but the server that it came from.
std::string serve_page();

}  // namespace chunkkv::web
