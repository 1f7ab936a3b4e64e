# How our own code is compiled. An engine that is built along (CHUNKKV_LLAMA_SOURCE) gets only the options of
# CHUNKKV_SANITIZE and CHUNKKV_FUZZ as well.

if(CHUNKKV_SANITIZE)
  add_compile_options(-fsanitize=${CHUNKKV_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CHUNKKV_SANITIZE})
endif()

# Lets libFuzzer count the branches that an input takes.
if(CHUNKKV_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Lets the library, its tests and benchmarks include its private headers: #include "selection/top_k.h".
function(chunkkv_see_private_headers target)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
endfunction()

# Turns on warnings, and lets the target include headers by room: #include "base/hash.h".
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

# For code that only waits for other code: with -Og it compiles in less than half the time, and nobody notices that it is
# slower.
function(chunkkv_compile_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-Og>)
endfunction()

# Compiles many files as one, because the large headers that they include take more time than the files themselves. Names in
# unnamed namespaces must differ within the target. With CHUNKKV_UNITY=OFF a file that changed is compiled alone.
function(chunkkv_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${CHUNKKV_UNITY} UNITY_BUILD_BATCH_SIZE 24)
endfunction()

# fmt is compiled in, so that neither its library nor its headers become a dependency of those who link chunkkv.
# Version 9 is compiled once, in src/fmt.cpp; other versions in every file, which takes twice as long.
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

# xxHash is compiled in from its header, so that it is no dependency of those who link chunkkv either.
function(chunkkv_use_xxhash target)
  find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
  target_include_directories(${target} SYSTEM PRIVATE "${XXHASH_INCLUDE_DIR}")
endfunction()

# Sources named *_avx2.cpp, *_avxvnni.cpp, *_avx512.cpp, *_avx512vnni.cpp, *_avx512bf16.cpp, *_avx512fp16.cpp and *_amx.cpp are
# compiled for processors with these instructions, and run only there. CHUNKKV_AVX2, CHUNKKV_AVXVNNI and so on tell the other
# sources that they exist.
# Sources named *_emulated.cpp compute the same in plain C++.
function(chunkkv_compile_kernels target)
  include(CheckCXXCompilerFlag)
  set(optimise -O3)
  set(optimise_emulated -O2 -ftree-vectorize) # the tests gain nothing by -O3, which takes twice as long to compile
  if(CHUNKKV_SANITIZE)
    set(optimise -O1) # nor here, where it takes four times as long
    set(optimise_emulated -O1)
  endif()
  set(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mf16c -mfma)
  set(options_avx2 -mavx2 -mfma -mf16c)
  set(options_avxvnni ${options_avx2} -mavxvnni)
  set(options_avx512 ${avx512})
  set(options_avx512vnni ${avx512} -mavx512vnni)
  set(options_avx512bf16 ${avx512} -mavx512bf16)
  set(options_avx512fp16 ${avx512} -mavx512fp16)
  set(options_amx ${avx512} -mavx512bf16)  # the tiles' instructions are assembly
  foreach(kind avx2 avxvnni avx512 avx512vnni avx512bf16 avx512fp16 amx)
    string(TOUPPER ${kind} name)
    set(options ${options_${kind}})
    list(JOIN options " " flags)
    check_cxx_compiler_flag("${flags}" CHUNKKV_COMPILES_${name})
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources INCLUDE REGEX "_${kind}\\.cpp$")
    if(CHUNKKV_COMPILES_${name})
      target_compile_definitions(${target} PRIVATE CHUNKKV_${name}=1)
      # A product and a sum become one instruction, in the compiler's own vectors too. GCC 12 warns of its own header.
      set_source_files_properties(
        ${sources} PROPERTIES COMPILE_OPTIONS
                              "${optimise};-ffp-contract=fast;-Wno-maybe-uninitialized;-Wno-uninitialized;${options}")
    else()
      set_source_files_properties(${sources} PROPERTIES HEADER_FILE_ONLY ON)
    endif()
  endforeach()
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "_emulated\\.cpp$")
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${optimise_emulated};-ffp-contract=fast")
  # Kernels for other widths of vectors use the same names, so none is compiled together with another.
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "/kernels/")
  set_source_files_properties(${sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
