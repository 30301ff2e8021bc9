# Compiler settings shared by every target: language level, warnings, sanitizers, debug checks.
# Nothing here may depend on which targets exist.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# Every target of ours links this; third-party headers come in as SYSTEM includes and are spared its warnings.
add_library(iocp_settings INTERFACE)
target_link_libraries(iocp_settings INTERFACE Threads::Threads)

if(MSVC)
  target_compile_options(iocp_settings INTERFACE /W4 /EHsc- /permissive- /Zc:__cplusplus /utf-8 $<$<BOOL:${IOCP_WERROR}>:/WX>)
else()
  target_compile_options(iocp_settings INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion $<$<BOOL:${IOCP_WERROR}>:-Werror>)
endif()

if(WIN32)
  # Windows 10 1809: ConnectEx, GetQueuedCompletionStatusEx and the rest of what the port calls, and no min() macro.
  # (Written as zig predefines it, which must not be told otherwise.)
  target_compile_definitions(iocp_settings INTERFACE
    _WIN32_WINNT=0x0a00 WINVER=0x0A00 NTDDI_VERSION=0x0A000006 WIN32_LEAN_AND_MEAN NOMINMAX UNICODE _UNICODE)
  if(NOT MSVC)
    # One file that needs nothing beside it: the compiler's libraries go in.
    target_link_options(iocp_settings INTERFACE -static)
  endif()
endif()

if(IOCP_SANITIZE STREQUAL "address")
  set(IOCP_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all)
elseif(IOCP_SANITIZE STREQUAL "thread")
  set(IOCP_SANITIZE_FLAGS -fsanitize=thread)
elseif(IOCP_SANITIZE)
  message(FATAL_ERROR "IOCP_SANITIZE is '${IOCP_SANITIZE}'; it may be address or thread")
endif()
if(IOCP_SANITIZE)
  # -O1: instrumented code gains little from more, and compiles in half the time.
  target_compile_options(iocp_settings INTERFACE ${IOCP_SANITIZE_FLAGS} -fno-omit-frame-pointer -g -O1)
  target_link_options(iocp_settings INTERFACE ${IOCP_SANITIZE_FLAGS})
endif()

# The expensive invariants (IOCP_DCHECK): in every build that exists to find faults.
if(IOCP_BUILD_TESTS OR IOCP_SANITIZE OR IOCP_SIMULATED)
  target_compile_definitions(iocp_settings INTERFACE IOCP_DEBUG_CHECKS)
else()
  target_compile_definitions(iocp_settings INTERFACE $<$<CONFIG:Debug>:IOCP_DEBUG_CHECKS>)
endif()

# Link-time optimisation for what users run; test builds stay quick to make and easy to debug.
set(IOCP_LINK_TIME_OPTIMIZATION OFF)
if(NOT IOCP_BUILD_TESTS AND NOT IOCP_SANITIZE AND NOT IOCP_SIMULATED AND NOT CMAKE_CROSSCOMPILING)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT IOCP_LINK_TIME_OPTIMIZATION OUTPUT _ignored LANGUAGES CXX)
endif()
