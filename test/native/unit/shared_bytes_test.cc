// Bytes that several queues share: one memory, counted references, freed by the last (which the address sanitizer
// sees when it is missed or comes twice).
#include "core/shared_bytes.h"

#include <cstring>
#include <thread>
#include <vector>

#include "support/test.h"

using iocp::SharedBytes;

TEST("shared bytes: hold as many bytes as were asked for") {
  SharedBytes* bytes = SharedBytes::create(100);
  REQUIRE(bytes != nullptr);
  CHECK_EQ(bytes->length(), 100U);
  std::memset(bytes->data(), 'x', bytes->length());
  CHECK_EQ(bytes->data()[99], 'x');
  bytes->release();
}

TEST("shared bytes: may be empty") {
  SharedBytes* bytes = SharedBytes::create(0);
  REQUIRE(bytes != nullptr);
  CHECK_EQ(bytes->length(), 0U);
  bytes->release();
}

TEST("shared bytes: stay until the last of many threads has released them") {
  SharedBytes* bytes = SharedBytes::create(8);
  REQUIRE(bytes != nullptr);
  std::memset(bytes->data(), 7, bytes->length());
  std::vector<std::thread> threads;
  std::vector<int> sums(4);
  for (int& sum : sums) {
    bytes->add_reference();
    threads.emplace_back([bytes, &sum] {
      for (int i = 0; i < 1'000; ++i) {
        bytes->add_reference();
        sum += bytes->data()[i % 8];
        bytes->release();
      }
      bytes->release();
    });
  }
  bytes->release();
  for (std::thread& thread : threads) thread.join();
  for (const int sum : sums) CHECK_EQ(sum, 7'000);
}
