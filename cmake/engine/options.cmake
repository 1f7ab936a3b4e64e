# How llama.cpp is built, wherever it is built for chunkkv. All of it can be overridden with -D.
set(GGML_OPENMP OFF CACHE BOOL "")  # its threads spin: ggml's own pool is 1.6 times faster on two cores
set(GGML_CCACHE OFF CACHE BOOL "")
set(GGML_RPC ON CACHE BOOL "")  # models over several machines; adds seconds to the build
set(LLAMA_OPENSSL ON CACHE BOOL "")  # https:// for judges
set(OPENSSL_USE_STATIC_LIBS ON)
set(LLAMA_BUILD_COMMON ON CACHE BOOL "")
foreach(extra TESTS TOOLS EXAMPLES SERVER APP)
  set(LLAMA_BUILD_${extra} OFF CACHE BOOL "")
endforeach()
