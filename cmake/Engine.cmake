# Target `llama` (with ggml behind it), and `llama-common` where it can be had: the command line needs it.

if(CHUNKKV_LLAMA_SOURCE)
  if(NOT EXISTS "${CHUNKKV_LLAMA_SOURCE}/include/llama.h")
    message(FATAL_ERROR "CHUNKKV_LLAMA_SOURCE is not a llama.cpp source folder: '${CHUNKKV_LLAMA_SOURCE}'")
  endif()
  include("${CMAKE_CURRENT_LIST_DIR}/engine/options.cmake")
  include("${CMAKE_CURRENT_LIST_DIR}/engine/cpu_kernels.cmake")
  add_subdirectory("${CHUNKKV_LLAMA_SOURCE}" llama.cpp)
  chunkkv_tune_cpu_kernels("${CHUNKKV_LLAMA_SOURCE}")
  if(NOT TARGET ggml::ggml)
    add_library(ggml::ggml ALIAS ggml)
  endif()
else()
  if(CHUNKKV_ENGINE)
    # Results of an earlier search may point to another engine.
    foreach(package llama ggml llama-common)
      set(${package}_DIR "${CHUNKKV_ENGINE}/lib/cmake/${package}" CACHE PATH "" FORCE)
    endforeach()
    unset(llama_LIBRARY CACHE)
  endif()
  find_package(llama QUIET)
  if(NOT llama_FOUND)
    message(
      FATAL_ERROR
        "No llama.cpp found. scripts/demo builds one; or set CHUNKKV_LLAMA_SOURCE to a llama.cpp source "
        "folder, CHUNKKV_ENGINE to the prefix of an installed one, or CHUNKKV_CORE_ONLY=ON to do without.")
  endif()
  include("${CMAKE_CURRENT_LIST_DIR}/ggml-cuda.cmake")
  find_package(llama-common QUIET)
endif()
