# What of llama.cpp's `common` is built, and how: without the option parser of its programs and what only that calls, and
# several files as one, because they include the same large headers. Takes little more than half of the time.
function(chunkkv_build_common_quickly source)
  get_target_property(sources llama-common SOURCES)
  list(REMOVE_ITEM sources arg.cpp console.cpp debug.cpp imatrix-loader.cpp preset.cpp)
  set_target_properties(llama-common PROPERTIES SOURCES "${sources}" UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  # It specialises templates that others use.
  set_source_files_properties("${source}/common/json.cpp" TARGET_DIRECTORY llama-common PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  set_target_properties(llama-server-edges PROPERTIES UNITY_BUILD ON)
endfunction()
