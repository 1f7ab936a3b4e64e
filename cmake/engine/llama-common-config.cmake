# Target `llama-common` of the engine prefix that this file is installed in.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(llama)
set(OPENSSL_USE_STATIC_LIBS ON)
find_dependency(OpenSSL)

if(NOT TARGET llama-common)
  get_filename_component(_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
  add_library(llama-common STATIC IMPORTED)
  set_target_properties(
    llama-common
    PROPERTIES IMPORTED_LOCATION "${_prefix}/lib/libllama-common.a"
               INTERFACE_COMPILE_DEFINITIONS "LLAMA_SUBPROCESS;CPPHTTPLIB_OPENSSL_SUPPORT"
               INTERFACE_INCLUDE_DIRECTORIES "${_prefix}/include/llama-common"
               INTERFACE_LINK_LIBRARIES
               "${_prefix}/lib/libllama-common-base.a;${_prefix}/lib/libcpp-httplib.a;llama;OpenSSL::SSL;Threads::Threads"
  )
  unset(_prefix)
endif()
