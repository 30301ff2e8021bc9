# The benchmarks' own programs: the load generator and the C++ echo server it is compared with.
add_executable(iocp_loadgen "${PROJECT_SOURCE_DIR}/bench/loadgen/loadgen.cc")
target_link_libraries(iocp_loadgen PRIVATE iocp_settings)
add_executable(iocp_c_epoll "${PROJECT_SOURCE_DIR}/bench/servers/c-epoll.cc")
target_link_libraries(iocp_c_epoll PRIVATE iocp_settings)
