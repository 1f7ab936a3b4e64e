# GCC's intrinsic for loading an AMX tile configuration declares that it reads 8 of its 64 bytes, so GCC
# drops the stores to the others as dead and the processor faults on what is left (seen with GCC 12 and
# quantised weights). Call this after llama.cpp's targets exist.
function(chunkkv_keep_amx_configuration source)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND TARGET ggml-cpu)
    set_property(SOURCE "${source}/ggml/src/ggml-cpu/amx/mmq.cpp" TARGET_DIRECTORY ggml-cpu
                 APPEND PROPERTY COMPILE_OPTIONS -fno-tree-dse -fno-dse)
  endif()
endfunction()
