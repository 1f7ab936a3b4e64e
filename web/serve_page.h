#pragma once

#include <string>

namespace chunkkv::web {

/// Returns the page of `chunkkv serve`, in one file. It sends requests only to the server that it came from.
std::string serve_page();

}  // namespace chunkkv::web
