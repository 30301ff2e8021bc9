# The addon, iocp.node: native/binding linked with the core and this system's port.
# Included only when cmake-js has said where the Node-API headers are (CMAKE_JS_INC).
iocp_sources(_binding "${PROJECT_SOURCE_DIR}/native/binding/*.cc")
# One file per family of systems says whether the host's event loop can be watched.
set(_backend ${IOCP_BACKEND})
if(IOCP_SIMULATED)
  set(_backend sim)
  list(FILTER _binding EXCLUDE REGEX "/host_loop_[a-z]+\\.cc$")
  iocp_sources(_simulated "${PROJECT_SOURCE_DIR}/test/simulated/*.cc")
  list(APPEND _binding ${_simulated})
  # Its entry is in test/simulated, and calls the real one.
  set_source_files_properties("${PROJECT_SOURCE_DIR}/native/binding/addon.cc" PROPERTIES
    COMPILE_DEFINITIONS "napi_register_module_v1=iocp_register_real_addon;node_api_module_get_api_version_v1=iocp_real_api_version")
elseif(WIN32)
  list(FILTER _binding EXCLUDE REGEX "/host_loop_posix\\.cc$")
else()
  list(FILTER _binding EXCLUDE REGEX "/host_loop_windows\\.cc$")
endif()
foreach(_needed IN ITEMS iocp_core iocp_port_${_backend})
  if(NOT TARGET ${_needed})
    message(FATAL_ERROR "the addon needs ${_needed}, and its sources are missing")
  endif()
endforeach()

# SHARED, not MODULE: cmake-js passes its macOS and Windows linker flags to shared libraries only.
add_library(iocp SHARED ${_binding})
set_target_properties(iocp PROPERTIES
  PREFIX "" SUFFIX ".node"
  LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/$<CONFIG>"
  RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/$<CONFIG>"
  BUILD_WITH_INSTALL_NAME_DIR ON INSTALL_NAME_DIR "@rpath"
  INTERPROCEDURAL_OPTIMIZATION_RELEASE ${IOCP_LINK_TIME_OPTIMIZATION})
target_include_directories(iocp SYSTEM PRIVATE ${CMAKE_JS_INC})
# A worker_thread that is being terminated refuses every call, throwing included; node-addon-api would abort the
# process over that unless told otherwise.
target_compile_definitions(iocp PRIVATE NAPI_VERSION=8 NAPI_DISABLE_CPP_EXCEPTIONS
  NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS BUILDING_NODE_EXTENSION)
target_link_libraries(iocp PRIVATE iocp_core iocp_port_${_backend} iocp_settings)
if(NOT MSVC)
  target_compile_options(iocp PRIVATE -fno-exceptions)
endif()
if(WIN32)
  # Node-API's functions are looked up when the addon is loaded: no import library, whatever the host is called.
  list(GET CMAKE_JS_INC 0 _node_api)
  file(STRINGS "${_node_api}/../def/node_api.def" _functions REGEX "^ *(napi|node_api)_")
  set(NAPI_SLOTS "")
  set(NAPI_TABLE "")
  foreach(_function IN LISTS _functions)
    string(STRIP "${_function}" _function)
    string(APPEND NAPI_SLOTS "FARPROC __imp_${_function};\n")
    string(APPEND NAPI_TABLE "    {\"${_function}\", &__imp_${_function}},\n")
  endforeach()
  configure_file("${PROJECT_SOURCE_DIR}/cmake/win_node_api.cc.in" "${CMAKE_CURRENT_BINARY_DIR}/win_node_api.cc" @ONLY)
  target_sources(iocp PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/win_node_api.cc")
endif()
if(IOCP_SIMULATED)
  target_include_directories(iocp PRIVATE "${PROJECT_SOURCE_DIR}/test")
endif()
if(IOCP_MEMORY_CAGE)
  target_sources(iocp PRIVATE "${PROJECT_SOURCE_DIR}/test/addon/memory_cage.cc")
endif()
if(APPLE)
  # Node-API's functions are the host's. cmake-js says so on macOS itself, but not when cross-compiling.
  target_link_options(iocp PRIVATE "LINKER:-undefined,dynamic_lookup")
endif()
if(NOT WIN32 AND NOT APPLE)
  # Nothing but the module's entry points is visible, so two addons in one process never share symbols by accident.
  set(_exports "${PROJECT_SOURCE_DIR}/cmake/exports.map")
  target_link_options(iocp PRIVATE "LINKER:--version-script=${_exports}")
  set_target_properties(iocp PROPERTIES LINK_DEPENDS "${_exports}")
endif()
