# The benchmarks' own programs: the load generator and the C++ echo servers we are compared with.
file(GLOB IOCP_LOADGEN_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/loadgen/*.cc")
add_executable(iocp_loadgen ${IOCP_LOADGEN_SOURCES})
target_include_directories(iocp_loadgen PRIVATE "${PROJECT_SOURCE_DIR}/native")
target_link_libraries(iocp_loadgen PRIVATE iocp_settings)
add_executable(iocp_c_epoll "${PROJECT_SOURCE_DIR}/bench/servers/c-epoll.cc")
target_link_libraries(iocp_c_epoll PRIVATE iocp_settings)

# npm run bench:files, on Linux: the yardstick and the reader.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  foreach(_name sendfile peer beside)
    add_executable(iocp_file_${_name} "${PROJECT_SOURCE_DIR}/bench/servers/file-${_name}.cc")
    target_link_libraries(iocp_file_${_name} PRIVATE iocp_settings)
  endforeach()
endif()

find_path(ASIO_INCLUDE asio.hpp)
if(ASIO_INCLUDE)
  find_package(Threads REQUIRED)
  add_executable(iocp_asio "${PROJECT_SOURCE_DIR}/bench/servers/asio.cc")
  target_include_directories(iocp_asio SYSTEM PRIVATE "${ASIO_INCLUDE}")
  target_compile_definitions(iocp_asio PRIVATE ASIO_STANDALONE ASIO_NO_DEPRECATED)
  target_link_libraries(iocp_asio PRIVATE iocp_settings Threads::Threads)
endif()

# The engine without Node.js, one thread: the addon's figures less these are the price of the crossing.
add_executable(iocp_engine "${PROJECT_SOURCE_DIR}/bench/servers/engine.cc")
target_link_libraries(iocp_engine PRIVATE iocp_core iocp_port_${IOCP_BACKEND} iocp_settings)

# npm run bench:native: parts of the engine one at a time, and the ports.
find_package(benchmark QUIET)
if(benchmark_FOUND)
  file(GLOB _core_benches CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/native/*_bench.cc")
  list(FILTER _core_benches EXCLUDE REGEX "/port_bench\\.cc$")
  add_executable(iocp_bench_core ${_core_benches})
  target_include_directories(iocp_bench_core PRIVATE "${PROJECT_SOURCE_DIR}/bench/native")
  target_link_libraries(iocp_bench_core PRIVATE iocp_core iocp_port_${IOCP_BACKEND} iocp_settings
    benchmark::benchmark benchmark::benchmark_main)
  set(_benched_ports ${IOCP_BACKEND})
  if(TARGET iocp_port_sim)
    list(APPEND _benched_ports sim)
  endif()
  foreach(_backend IN LISTS _benched_ports)
    add_executable(iocp_bench_port_${_backend} "${PROJECT_SOURCE_DIR}/bench/native/port_bench.cc")
    target_include_directories(iocp_bench_port_${_backend} PRIVATE "${PROJECT_SOURCE_DIR}/bench/native")
    target_link_libraries(iocp_bench_port_${_backend} PRIVATE iocp_port_${_backend} iocp_settings
      benchmark::benchmark benchmark::benchmark_main)
  endforeach()
endif()
