# Compiler options that make ggml's CPU kernels right and fast on x86. Call this after llama.cpp's targets
# exist. docs/performance.md tells what each gains.
set(chunkkv_engine_dir "${CMAKE_CURRENT_LIST_DIR}")

function(chunkkv_tune_cpu_kernels source)
  if(NOT TARGET ggml-cpu OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    return()
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's intrinsic for loading an AMX tile configuration declares that it reads 8 of its 64 bytes, so
    # the stores to the others are dropped as dead and the processor faults on what is left (GCC 12,
    # quantised weights).
    set_property(SOURCE "${source}/ggml/src/ggml-cpu/amx/mmq.cpp" TARGET_DIRECTORY ggml-cpu
                 APPEND PROPERTY COMPILE_OPTIONS -fno-tree-dse -fno-dse)
    # F16 loops that step by 128 values run in their scalar tails for heads of 64.
    target_compile_options(ggml-cpu PRIVATE -mno-avx512fp16)
  elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # Vectorises the maximum of a row of attention logits, which are never NaN.
    target_compile_options(ggml-cpu PRIVATE -include "${chunkkv_engine_dir}/clang_x86.h" -fno-honor-nans
                                            -fno-signed-zeros)
  endif()
endfunction()
