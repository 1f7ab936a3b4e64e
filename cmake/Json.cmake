# nlohmann/json, header only: the copy that llama.cpp's llama-common brings, else an installed one.
function(chunkkv_use_json target)
  if(TARGET llama-common)
    target_include_directories(
      ${target} SYSTEM PRIVATE $<TARGET_PROPERTY:llama-common,INTERFACE_INCLUDE_DIRECTORIES>)
  else()
    find_package(nlohmann_json QUIET)
    if(NOT nlohmann_json_FOUND)
      message(FATAL_ERROR "nlohmann/json was not found. Install it (on Debian: apt-get install nlohmann-json3-dev).")
    endif()
    target_link_libraries(${target} PRIVATE nlohmann_json::nlohmann_json)
  endif()
endfunction()
