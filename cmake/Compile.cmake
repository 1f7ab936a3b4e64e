# How our own code is compiled. The engine's code is not touched by any of this.

if(CHUNKKV_SANITIZE)
  add_compile_options(-fsanitize=${CHUNKKV_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CHUNKKV_SANITIZE})
endif()

# Warnings, and the source folder for our private headers: #include "selection/top_k.h".
function(chunkkv_compile_options target)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                           -Woverloaded-virtual -Wcast-align -Wextra-semi)
  if(CHUNKKV_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# fmt, compiled in: neither its library nor its headers become a dependency of those who link chunkkv.
function(chunkkv_use_fmt target)
  find_package(fmt REQUIRED)
  target_compile_definitions(${target} PRIVATE FMT_HEADER_ONLY=1)
  target_include_directories(
    ${target} SYSTEM PRIVATE $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>)
endfunction()

# xxHash, compiled in likewise.
function(chunkkv_use_xxhash target)
  find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
  target_include_directories(${target} SYSTEM PRIVATE "${XXHASH_INCLUDE_DIR}")
endfunction()
