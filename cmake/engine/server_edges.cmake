# Target `llama-server-edges`: the sources of llama.cpp's server that read requests and write replies, in all dialects
# of its API, without the loop in between. Images and sounds need another library, which is left out.
function(chunkkv_add_server_edges source)
  set(server "${source}/tools/server")
  add_library(llama-server-edges STATIC
    "${server}/server-chat.cpp" "${server}/server-common.cpp" "${server}/server-schema.cpp"
    "${server}/server-task.cpp" "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/no_media.cpp")
  target_include_directories(llama-server-edges PUBLIC "${server}" "${source}/tools/mtmd")
  target_link_libraries(llama-server-edges PUBLIC llama-common)
  target_compile_features(llama-server-edges PUBLIC cxx_std_17)
endfunction()
