# Target `llama-server-edges` of the engine prefix that this file is installed in.
include(CMakeFindDependencyMacro)
find_dependency(llama-common)

if(NOT TARGET llama-server-edges)
  get_filename_component(_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
  add_library(llama-server-edges STATIC IMPORTED)
  set_target_properties(
    llama-server-edges
    PROPERTIES IMPORTED_LOCATION "${_prefix}/lib/libllama-server-edges.a"
               INTERFACE_INCLUDE_DIRECTORIES "${_prefix}/include/llama-server"
               INTERFACE_LINK_LIBRARIES llama-common)
  unset(_prefix)
endif()
