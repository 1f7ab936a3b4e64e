# Builds llama.cpp in two thirds of its time.
function(chunkkv_build_engine_quickly source)
  # The option parser of llama.cpp's programs and what only that calls are not built.
  get_target_property(sources llama-common SOURCES)
  list(REMOVE_ITEM sources arg.cpp console.cpp debug.cpp imatrix-loader.cpp preset.cpp)
  set_target_properties(llama-common PROPERTIES SOURCES "${sources}" UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  # Several files are compiled as one, because they include the same large headers. json.cpp specialises templates that
  # others use.
  set_source_files_properties("${source}/common/json.cpp" TARGET_DIRECTORY llama-common PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  set_target_properties(llama-server-edges PROPERTIES UNITY_BUILD ON)
  file(GLOB core "${source}/src/*.cpp")
  set_source_files_properties(${core} TARGET_DIRECTORY llama PROPERTIES SKIP_UNITY_BUILD_INCLUSION OFF)
  # Templates, JSON and HTTP are not what a user waits for.
  foreach(target llama-common cpp-httplib llama-server-edges ggml-rpc-server)
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-Os>)
  endforeach()
endfunction()
