# `cmake --install` and find_package(chunkkv), which gives target chunkkv::chunkkv.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/chunkkv)
install(TARGETS chunkkv EXPORT chunkkv-targets)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/chunkkv" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT chunkkv-targets NAMESPACE chunkkv:: DESTINATION ${package_dir})
configure_package_config_file(cmake/chunkkv-config.cmake.in "${PROJECT_BINARY_DIR}/chunkkv-config.cmake"
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/chunkkv-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_SOURCE_DIR}/cmake/ggml-cuda.cmake" "${PROJECT_BINARY_DIR}/chunkkv-config.cmake"
              "${PROJECT_BINARY_DIR}/chunkkv-config-version.cmake" DESTINATION ${package_dir})
