# Installs chunkkv from `build` into `work`, then configures, builds and runs a consumer against it.
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE "${work}")
run("${CMAKE_COMMAND}" --install "${build}" --prefix "${work}/prefix")

# An installed package must not know where it was built.
file(GLOB_RECURSE package_files "${work}/prefix/*.cmake" "${work}/prefix/*.h")
foreach(file IN LISTS package_files)
  file(READ "${file}" text)
  foreach(folder "${source}" "${build}")
    string(FIND "${text}" "${folder}" position)
    if(position GREATER_EQUAL 0)
      message(FATAL_ERROR "${file} names ${folder}")
    endif()
  endforeach()
endforeach()

set(ENV{CMAKE_PREFIX_PATH} "${work}/prefix:${engine}")
run("${CMAKE_COMMAND}" -G Ninja -S "${source}/tests/consumer" -B "${work}/build"
    "-DCMAKE_CXX_FLAGS=${cxx_flags}" -DCMAKE_BUILD_TYPE=Release)
run("${CMAKE_COMMAND}" --build "${work}/build")
run("${work}/build/consumer")
