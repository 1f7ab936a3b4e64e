# Links the libraries that the CUDA code of a static ggml needs. ggml's package (0.25) names them only where CUDA
# itself is linked statically. Include this after find_package(llama).
if(TARGET ggml::ggml-cuda AND NOT GGML_SHARED_LIB AND NOT GGML_STATIC)
  target_link_libraries(ggml::ggml-cuda INTERFACE CUDA::cudart CUDA::cublas)
  if(GGML_CUDA_NCCL)  # used by ggml where it is found
    find_library(CHUNKKV_NCCL_LIBRARY nccl HINTS "${CUDAToolkit_LIBRARY_DIR}")
    if(CHUNKKV_NCCL_LIBRARY)
      target_link_libraries(ggml::ggml-cuda INTERFACE "${CHUNKKV_NCCL_LIBRARY}")
    endif()
  endif()
endif()
