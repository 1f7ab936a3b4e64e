# Adds nlohmann/json, which is header only: the copy that llama.cpp's llama-common brings, else an installed one. Pass
# PUBLIC where the target's headers include it.
function(chunkkv_use_json target)
  set(scope PRIVATE)
  if(ARGC GREATER 1)
    set(scope ${ARGV1})
  endif()
  if(TARGET llama-common)
    target_include_directories(
      ${target} SYSTEM ${scope} $<TARGET_PROPERTY:llama-common,INTERFACE_INCLUDE_DIRECTORIES>)
  else()
    find_package(nlohmann_json QUIET)
    if(NOT nlohmann_json_FOUND)
      message(FATAL_ERROR "nlohmann/json was not found. Install it (on Debian: apt-get install nlohmann-json3-dev).")
    endif()
    target_link_libraries(${target} ${scope} nlohmann_json::nlohmann_json)
  endif()
endfunction()
