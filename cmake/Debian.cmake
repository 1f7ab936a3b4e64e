# `cpack -G DEB`: the program as a Debian package, with a systemd unit for `chunkkv serve`. scripts/package makes it.
set(CHUNKKV_MAINTAINER "chunkkv authors <chunkkv@localhost>" CACHE STRING "Who makes the Debian package: NAME <MAIL>")
set(debian "${PROJECT_SOURCE_DIR}/packaging/debian")

# Only the package has these: `cmake --install` leaves them out.
function(chunkkv_install_for_debian)
  install(${ARGN} COMPONENT program EXCLUDE_FROM_ALL)
endfunction()
file(READ "${PROJECT_SOURCE_DIR}/LICENSE" license)
file(READ "${PROJECT_SOURCE_DIR}/NOTICES" notices)
file(READ "${debian}/copyright" copyright)
file(CONFIGURE OUTPUT copyright CONTENT "${license}${notices}${copyright}" @ONLY)
chunkkv_install_for_debian(FILES "${PROJECT_BINARY_DIR}/copyright" DESTINATION share/doc/chunkkv)
chunkkv_install_for_debian(FILES "${debian}/chunkkv.service" DESTINATION lib/systemd/system)
chunkkv_install_for_debian(FILES "${debian}/default" DESTINATION /etc/default RENAME chunkkv)
chunkkv_install_for_debian(FILES "${debian}/lintian-overrides" DESTINATION share/lintian/overrides RENAME chunkkv)

# CMake strips the programs that it builds; the engine's server is stripped here.
chunkkv_install_for_debian(
  CODE
  "set(server \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/bin/ggml-rpc-server\")
  if(CMAKE_INSTALL_DO_STRIP AND EXISTS \"\${server}\")
    execute_process(COMMAND \"${CMAKE_STRIP}\" \"\${server}\" COMMAND_ERROR_IS_FATAL ANY)
  endif()")

# The engine's kernels are compiled for the builder's processor unless GGML_NATIVE is off; ours are chosen at run time.
if(GGML_NATIVE)
  cmake_host_system_information(RESULT processor QUERY PROCESSOR_DESCRIPTION)
  string(REGEX REPLACE "^[0-9]+ core " "" processor "${processor}")
  set(processors "Built for processors like its builder's: ${processor}.\nIt stops on those that lack its instructions.")
else()
  set(processors "Built for all processors with what its engine was configured for;\non x86 that is AVX2, BMI2, FMA and F16C, unless told otherwise.")
endif()

set(CPACK_PACKAGE_NAME chunkkv)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "language models with compressed KV caches")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "chunkkv reads long prompts with GGUF models, through llama.cpp, and keeps
the part of the KV cache that matters. It has a command line and a server;
the server is off until it is enabled.
.
${processors}")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${CHUNKKV_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)  # for judges at https://
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${debian}/conffiles" "${debian}/postinst" "${debian}/prerm" "${debian}/postrm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)

# One package of the program alone, without headers and libraries.
set(CPACK_GENERATOR DEB)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL program)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
include(CPack)
