# How our own code is compiled. The engine's code is not touched by any of this.

if(CHUNKKV_SANITIZE)
  add_compile_options(-fsanitize=${CHUNKKV_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CHUNKKV_SANITIZE})
endif()

# Counts branches for libFuzzer.
if(CHUNKKV_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# For the library, its tests and benchmarks: its private headers, #include "selection/top_k.h".
function(chunkkv_see_private_headers target)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
endfunction()

# Warnings, and the project's folder for headers by room: #include "base/hash.h".
function(chunkkv_compile_options target)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                           -Woverloaded-virtual -Wcast-align -Wextra-semi)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)  # wrong for "text" + std::string
  endif()
  if(CHUNKKV_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# For code that only waits for other code: it compiles in half the time, and nobody notices the difference.
function(chunkkv_compile_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-O1>)
endfunction()

# Several files as one, for small files that read the same large headers: names in unnamed namespaces must differ within
# the target. CHUNKKV_UNITY=OFF compiles what changed and nothing beside it.
function(chunkkv_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${CHUNKKV_UNITY} UNITY_BUILD_BATCH_SIZE 6)
endfunction()

# fmt, compiled in: neither its library nor its headers become a dependency of those who link chunkkv. Version 9
# is compiled once, in src/fmt.cpp; others in every file, which takes twice as long.
find_package(fmt REQUIRED)
set(chunkkv_fmt_once OFF)
if(fmt_VERSION VERSION_GREATER_EQUAL 9 AND fmt_VERSION VERSION_LESS 10)
  set(chunkkv_fmt_once ON)
endif()
function(chunkkv_use_fmt target)
  if(NOT chunkkv_fmt_once)
    target_compile_definitions(${target} PRIVATE FMT_HEADER_ONLY=1)
  endif()
  target_include_directories(
    ${target} SYSTEM PRIVATE $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>)
endfunction()

# xxHash, compiled in likewise.
function(chunkkv_use_xxhash target)
  find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
  target_include_directories(${target} SYSTEM PRIVATE "${XXHASH_INCLUDE_DIR}")
endfunction()

# Sources named *_avx2.cpp, *_avx512.cpp, *_avx512fp16.cpp and *_amx.cpp are compiled for such processors, and run
# only where there is one: CHUNKKV_AVX2, CHUNKKV_AVX512 and so on tell the others that they exist. Those named
# *_emulated.cpp do the same in plain C++.
function(chunkkv_compile_kernels target)
  include(CheckCXXCompilerFlag)
  set(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mf16c -mfma)
  set(options_avx2 -mavx2 -mfma -mf16c)
  set(options_avx512 ${avx512})
  set(options_avx512fp16 ${avx512} -mavx512fp16)
  set(options_amx ${avx512} -mavx512bf16)  # the tiles' instructions are assembly
  foreach(kind avx2 avx512 avx512fp16 amx)
    string(TOUPPER ${kind} name)
    set(options ${options_${kind}})
    list(JOIN options " " flags)
    check_cxx_compiler_flag("${flags}" CHUNKKV_COMPILES_${name})
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources INCLUDE REGEX "_${kind}\\.cpp$")
    if(CHUNKKV_COMPILES_${name})
      target_compile_definitions(${target} PRIVATE CHUNKKV_${name}=1)
      # Products and sums become one instruction, in the compiler's own vectors too. GCC 12 warns of its own header.
      set_source_files_properties(
        ${sources} PROPERTIES COMPILE_OPTIONS
                              "-O3;-ffp-contract=fast;-Wno-maybe-uninitialized;-Wno-uninitialized;${options}")
    else()
      set_source_files_properties(${sources} PROPERTIES HEADER_FILE_ONLY ON)
    endif()
  endforeach()
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "_emulated\\.cpp$")
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "-O3;-ffp-contract=fast")
  # Vectors of other widths have the same names.
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "/kernels/")
  set_source_files_properties(${sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
