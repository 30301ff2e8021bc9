# The static libraries: one per completion-port backend, and the core, which links with any of them.
# Link order is core, then port: the core names the port's symbols, never the reverse.

# Collects the sources of a folder; an empty result is an error under IOCP_REQUIRE_ALL.
function(iocp_sources result)
  file(GLOB found CONFIGURE_DEPENDS ${ARGN})
  if(NOT found AND IOCP_REQUIRE_ALL)
    message(FATAL_ERROR "no sources match: ${ARGN}")
  endif()
  set(${result} "${found}" PARENT_SCOPE)
endfunction()

# A static library of ours: own warnings, no exceptions, no run-time type information.
function(iocp_static_library name)
  add_library(${name} STATIC ${ARGN})
  target_include_directories(${name} PUBLIC "${PROJECT_SOURCE_DIR}/native")
  target_link_libraries(${name} PRIVATE iocp_settings)
  if(NOT MSVC)
    target_compile_options(${name} PRIVATE -fno-exceptions -fno-rtti)
  endif()
  set_target_properties(${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION_RELEASE ${IOCP_LINK_TIME_OPTIMIZATION})
endfunction()

set(_native "${PROJECT_SOURCE_DIR}/native")

# What depends on the processor rather than on the system: one file per family, chosen by what the compiler builds for
# (which, unlike CMAKE_SYSTEM_PROCESSOR, is also right when cross-compiling).
include(CheckCXXSourceCompiles)
set(_try_compile_before ${CMAKE_TRY_COMPILE_TARGET_TYPE})
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # nothing is linked, so it costs little
check_cxx_source_compiles("
#if !defined(__x86_64__) && !defined(_M_X64)
#error not 64-bit x86
#endif
int main() { return 0; }" IOCP_X86_64)
check_cxx_source_compiles("
#if !defined(__aarch64__) && !defined(_M_ARM64)
#error not 64-bit ARM
#endif
int main() { return 0; }" IOCP_ARM64)
set(CMAKE_TRY_COMPILE_TARGET_TYPE ${_try_compile_before})
if(IOCP_X86_64)
  set(_cpu crc32c_x86_64.cc)
elseif(IOCP_ARM64 AND CMAKE_SYSTEM_NAME MATCHES "^(Linux|Android)$")
  set(_cpu crc32c_arm64.cc arm64_features_linux.cc)
elseif(IOCP_ARM64 AND APPLE)
  set(_cpu crc32c_arm64.cc arm64_features_darwin.cc)
elseif(IOCP_ARM64 AND WIN32)
  set(_cpu crc32c_arm64.cc arm64_features_windows.cc)
elseif(IOCP_ARM64 AND CMAKE_SYSTEM_NAME MATCHES "^(FreeBSD|OpenBSD)$")
  set(_cpu crc32c_arm64.cc arm64_features_bsd.cc)
else()
  set(_cpu crc32c_none.cc)
endif()
list(TRANSFORM _cpu PREPEND "${_native}/port/cpu/")

# WaitOnAddress() and its like, under the name that the compiler's import libraries know.
if(WIN32 AND NOT IOCP_WAIT_LIBRARY)
  set(IOCP_WAIT_LIBRARY synchronization)
endif()

iocp_sources(_port_common "${_native}/port/*.cc")
list(APPEND _port_common ${_cpu})
set(_port_shared "")
if(IOCP_BACKEND_SHARED_FOLDER)
  iocp_sources(_port_shared "${_native}/port/${IOCP_BACKEND_SHARED_FOLDER}/*.cc")
endif()
iocp_sources(_port_backend "${_native}/port/${IOCP_BACKEND}/*.cc")
if(NOT APPLE)
  list(FILTER _port_backend EXCLUDE REGEX "_darwin\\.cc$")
endif()
if(NOT CMAKE_SYSTEM_NAME STREQUAL "FreeBSD")
  list(FILTER _port_backend EXCLUDE REGEX "_freebsd\\.cc$")
endif()
if(_port_backend)
  iocp_static_library(iocp_port_${IOCP_BACKEND} ${_port_common} ${_port_shared} ${_port_backend})
  if(WIN32)
    target_link_libraries(iocp_port_${IOCP_BACKEND} PUBLIC ws2_32 mswsock iphlpapi ntdll ${IOCP_WAIT_LIBRARY})
  endif()
endif()

# The simulator is a backend like any other; of the system it borrows only the text form of addresses and the sleep of a
# lock.
if(IOCP_BUILD_TESTS OR IOCP_BUILD_BENCH OR IOCP_SIMULATED)
  iocp_sources(_port_sim "${_native}/port/sim/*.cc")
  iocp_sources(_system "${_native}/port/${IOCP_SYSTEM_FOLDER}/address_text.cc"
    "${_native}/port/${IOCP_SYSTEM_FOLDER}/word_wait.cc")
  if(_port_sim)
    iocp_static_library(iocp_port_sim ${_port_common} ${_system} ${_port_sim})
    if(WIN32)
      target_link_libraries(iocp_port_sim PUBLIC ws2_32 iphlpapi ${IOCP_WAIT_LIBRARY})
    endif()
  endif()
endif()

iocp_sources(_core "${_native}/core/*.cc")
if(IOCP_SIMULATED)
  list(FILTER _core EXCLUDE REGEX "/worker_threads\\.cc$") # test/simulated has its own
endif()
if(_core)
  # std::thread tells by an exception that the system is out of threads; that one file turns it into a value.
  if(NOT MSVC AND NOT IOCP_SIMULATED)
    set_source_files_properties("${_native}/core/worker_threads.cc" PROPERTIES COMPILE_OPTIONS -fexceptions)
  endif()
  iocp_static_library(iocp_core ${_core})
endif()
