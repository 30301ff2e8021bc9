# The native tests: one executable per folder of test/native, each a ctest test with a time limit.
# A folder that is missing is left out, or is an error under IOCP_REQUIRE_ALL (as in continuous integration).
enable_testing()
set(_tests "${PROJECT_SOURCE_DIR}/test/native")
set(_slowdown 1)
if(IOCP_SANITIZE)
  set(_slowdown 4)
endif()

iocp_sources(_support "${_tests}/support/*.cc")
list(FILTER _support EXCLUDE REGEX "/canary\\.cc$")

# iocp_native_test(name SECONDS n LIBRARIES … SOURCES …)
function(iocp_native_test name)
  cmake_parse_arguments(ARG "" "SECONDS" "LIBRARIES;SOURCES" ${ARGN})
  if(NOT ARG_SOURCES OR NOT _support)
    message(STATUS "${name}: no sources yet, left out")
    return()
  endif()
  foreach(_library IN LISTS ARG_LIBRARIES)
    if(NOT TARGET ${_library})
      if(IOCP_REQUIRE_ALL)
        message(FATAL_ERROR "${name} needs ${_library}, which has no sources")
      endif()
      message(STATUS "${name}: ${_library} has no sources yet, left out")
      return()
    endif()
  endforeach()
  add_executable(test_${name} ${ARG_SOURCES} ${_support})
  target_include_directories(test_${name} PRIVATE "${_tests}")
  target_link_libraries(test_${name} PRIVATE ${ARG_LIBRARIES} iocp_settings)
  add_test(NAME ${name} COMMAND test_${name})
  math(EXPR _limit "${ARG_SECONDS} * ${_slowdown}")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${_limit})
endfunction()

# Cases see port.h and not the backend, so one compilation serves every backend they are linked with.
function(iocp_test_cases name)
  if(NOT ARGN OR NOT _support)
    return()
  endif()
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PRIVATE "${_tests}" "${PROJECT_SOURCE_DIR}/native")
  target_link_libraries(${name} PRIVATE iocp_settings)
  set(${name} $<TARGET_OBJECTS:${name}> PARENT_SCOPE)
endfunction()

iocp_sources(_conformance_all "${_tests}/conformance/*.cc")
# Where a case's own directory is: on the system's disk, or on the simulated one.
set(_conformance ${_conformance_all})
list(FILTER _conformance EXCLUDE REGEX "/sim_scratch\\.cc$")
iocp_test_cases(conformance_cases ${_conformance})
iocp_native_test(conformance_${IOCP_BACKEND} SECONDS 60 LIBRARIES iocp_port_${IOCP_BACKEND} SOURCES ${conformance_cases})

# What a readiness backend promises beyond the contract; it shares the conformance suite's fixtures.
if(IOCP_BACKEND_SHARED_FOLDER STREQUAL "posix")
  iocp_sources(_posix "${_tests}/posix/*.cc")
  iocp_sources(_fixtures "${_tests}/conformance/world.cc" "${_tests}/conformance/*scratch.cc")
  list(FILTER _fixtures EXCLUDE REGEX "/sim_scratch\\.cc$")
  if(_posix)
    list(APPEND _posix ${_fixtures})
  endif()
  iocp_test_cases(posix_cases ${_posix})
  iocp_native_test(posix SECONDS 60 LIBRARIES iocp_port_${IOCP_BACKEND} SOURCES ${posix_cases})
else()
  message(STATUS "posix: left out, for it tests what only readiness systems promise")
endif()

# The kqueue backend, on Linux over an imitation of kevent() and of both systems' sendfile() (kevent_shim). Its sockets
# and files are Linux's, for no other system's are at hand.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  iocp_sources(_readiness "${PROJECT_SOURCE_DIR}/native/port/posix/*.cc")
  iocp_sources(_kevent_shim "${_tests}/kevent_shim/*.cc")
  list(FILTER _kevent_shim EXCLUDE REGEX "_test\\.cc$")
  set(_kqueue "${PROJECT_SOURCE_DIR}/native/port/kqueue")
  add_library(kevent_shim OBJECT ${_port_common} ${_readiness} ${_kevent_shim}
    "${_kqueue}/kqueue_poller.cc" "${_kqueue}/bsd_sockets.cc"
    "${PROJECT_SOURCE_DIR}/native/port/epoll/socket_linux.cc" "${PROJECT_SOURCE_DIR}/native/port/epoll/file_linux.cc")
  target_include_directories(kevent_shim PRIVATE "${PROJECT_SOURCE_DIR}/native")
  target_include_directories(kevent_shim SYSTEM BEFORE PRIVATE "${_tests}/kevent_shim/include")
  target_link_libraries(kevent_shim PRIVATE iocp_settings)
  # They differ in one small file; under the sanitizers, which make everything slow, the first speaks for both.
  set(_systems darwin freebsd)
  if(IOCP_SANITIZE)
    set(_systems darwin)
  endif()
  foreach(_system IN LISTS _systems)
    iocp_static_library(iocp_port_kqueue_${_system} $<TARGET_OBJECTS:kevent_shim> "${_kqueue}/transmit_${_system}.cc")
    target_include_directories(iocp_port_kqueue_${_system} SYSTEM BEFORE PRIVATE "${_tests}/kevent_shim/include")
    iocp_native_test(conformance_kqueue_${_system} SECONDS 60 LIBRARIES iocp_port_kqueue_${_system}
      SOURCES ${conformance_cases})
  endforeach()
  iocp_native_test(kevent_shim SECONDS 30 LIBRARIES iocp_port_kqueue_darwin
    SOURCES "${_tests}/kevent_shim/kevent_shim_test.cc")
  target_include_directories(test_kevent_shim SYSTEM BEFORE PRIVATE "${_tests}/kevent_shim/include")
  iocp_native_test(posix_kqueue SECONDS 60 LIBRARIES iocp_port_kqueue_darwin SOURCES ${posix_cases})
endif()

# The simulator is single-threaded by nature: the same suite without what needs a second thread.
set(_conformance ${_conformance_all})
list(FILTER _conformance EXCLUDE REGEX "/(threads_[^/]*|system_scratch)\\.cc$")
iocp_native_test(conformance_sim SECONDS 60 LIBRARIES iocp_port_sim SOURCES ${_conformance})

iocp_sources(_sim_port "${_tests}/sim_port/*.cc")
if(WIN32)
  list(FILTER _sim_port EXCLUDE REGEX "/guards\\.cc$")
  message(STATUS "sim_port: guards.cc left out, for it lets a forked child die and there is no fork()")
endif()
iocp_native_test(sim_port SECONDS 60 LIBRARIES iocp_port_sim SOURCES ${_sim_port})

iocp_sources(_unit "${_tests}/unit/*.cc")
iocp_native_test(unit SECONDS 60 LIBRARIES iocp_core iocp_port_sim SOURCES ${_unit})

iocp_sources(_simulation "${_tests}/simulation/*.cc")
iocp_native_test(simulation SECONDS 120 LIBRARIES iocp_core iocp_port_sim SOURCES ${_simulation})
if(TARGET test_simulation)
  # One thread by nature, so the thread sanitizer has little to find there and takes long to say so.
  set(_seeds 1500)
  if(IOCP_SANITIZE STREQUAL "thread")
    set(_seeds 100)
  elseif(CMAKE_BUILD_TYPE STREQUAL "Debug")
    set(_seeds 300) # not optimised: a sixth of the speed
  endif()
  target_compile_definitions(test_simulation PRIVATE IOCP_SIMULATED_SEEDS=${_seeds})
endif()

iocp_sources(_stress "${_tests}/stress/*.cc")
iocp_test_cases(stress_cases ${_stress})
iocp_native_test(stress SECONDS 120 LIBRARIES iocp_core iocp_port_${IOCP_BACKEND} SOURCES ${stress_cases})
# Wine loses requests of sockets that close while other threads do I/O; the file says how.
if(IOCP_BACKEND STREQUAL "iocp" AND TARGET test_stress)
  target_sources(test_stress PRIVATE "${_tests}/wine/late_close.cc")
endif()
if(TARGET iocp_port_kqueue_darwin)
  iocp_native_test(stress_kqueue SECONDS 120 LIBRARIES iocp_core iocp_port_kqueue_darwin SOURCES ${stress_cases})
endif()

# What only Windows has: its error numbers, its handles, and Winsock short of buffers to order.
if(IOCP_BACKEND STREQUAL "iocp")
  iocp_sources(_windows "${_tests}/windows/*.cc")
  iocp_native_test(windows SECONDS 120 LIBRARIES iocp_core iocp_port_iocp SOURCES ${_windows}
    "${_tests}/stress/engines.cc" "${_tests}/stress/owner.cc" "${_tests}/stress/traffic.cc")
else()
  message(STATUS "windows: left out, for it tests what only Windows has")
endif()

# The harness itself: a program with cases that break on purpose, started by itself, to prove that breakage is seen.
if(EXISTS "${_tests}/support/canary.cc")
  add_executable(test_canary "${_tests}/support/canary.cc" "${_tests}/support/test.cc")
  target_include_directories(test_canary PRIVATE "${_tests}")
  target_link_libraries(test_canary PRIVATE iocp_settings)
  add_test(NAME canary COMMAND test_canary)
  set_tests_properties(canary PROPERTIES TIMEOUT 60)
elseif(IOCP_REQUIRE_ALL)
  message(FATAL_ERROR "test/native/support/canary.cc is missing")
endif()

# A folder that no program above is built from would be a test that nobody runs.
file(GLOB _folders LIST_DIRECTORIES true RELATIVE "${_tests}" "${_tests}/*")
list(REMOVE_ITEM _folders support conformance kevent_shim posix sim_port unit simulation stress windows wine)
if(_folders)
  message(FATAL_ERROR "test/native holds what no test program is built from: ${_folders}")
endif()
