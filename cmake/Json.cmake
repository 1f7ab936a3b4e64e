# nlohmann/json, header only: the copy that llama.cpp's llama-common brings, else an installed one.
function(chunkkv_use_json target)
  if(TARGET llama-common)
    target_include_directories(
      ${target} SYSTEM PRIVATE $<TARGET_PROPERTY:llama-common,INTERFACE_INCLUDE_DIRECTORIES>)
  else()
    find_package(nlohmann_json REQUIRED)
    target_link_libraries(${target} PRIVATE nlohmann_json::nlohmann_json)
  endif()
endfunction()
