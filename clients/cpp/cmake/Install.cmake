# `cmake --install`: headers, libraries, and what find_package(sessiongateway) needs.

include(CMakePackageConfigHelpers)

set(_package "${CMAKE_INSTALL_LIBDIR}/cmake/sessiongateway")

install(TARGETS sessiongateway sessiongateway_stubs EXPORT sessiongatewayTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/sessiongateway DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY "${SESSIONGATEWAY_STUBS_DIR}/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.pb.h")
install(EXPORT sessiongatewayTargets NAMESPACE sessiongateway:: DESTINATION ${_package})

# Generated code compiles with the release of protobuf that wrote it, patches aside.
string(REGEX MATCH "^[0-9]+\\.[0-9]+" SESSIONGATEWAY_PROTOBUF_RELEASE "${Protobuf_VERSION}")

configure_package_config_file(cmake/sessiongatewayConfig.cmake.in
  "${CMAKE_CURRENT_BINARY_DIR}/sessiongatewayConfig.cmake" INSTALL_DESTINATION ${_package})
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/sessiongatewayConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/sessiongatewayConfig.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/sessiongatewayConfigVersion.cmake"
  DESTINATION ${_package})
