// The layout that the engine and its owner agree on: sizes, alignment, names.
#include "core/records.h"

#include <set>
#include <string>

#include "core/engine.h"
#include "core/limits.h"
#include "support/test.h"

using iocp::output_record_bytes;
using iocp::record_bytes;

TEST("records: a record and its padding end on the alignment, and never more than one step later") {
  for (std::size_t length = 0; length < 100; ++length) {
    const std::size_t bytes = record_bytes(length);
    CHECK_EQ(bytes % iocp::kRecordAlignment, 0U);
    CHECK(bytes >= sizeof(iocp::RecordHeader) + length);
    CHECK(bytes < sizeof(iocp::RecordHeader) + length + iocp::kRecordAlignment);
    const std::size_t output = output_record_bytes(length);
    CHECK_EQ(output % iocp::kOutputAlignment, 0U);
    CHECK(output >= sizeof(iocp::OutputHeader) + length);
    CHECK(output < sizeof(iocp::OutputHeader) + length + iocp::kOutputAlignment);
  }
}

TEST("records: the largest inline package fits the smallest slab") {
  CHECK(record_bytes(iocp::kInlinePayloadMax) <= iocp::kSlabBytesMin);
}

TEST("records: a send buffer holds the largest copied payload, and a read buffer is no smaller than it") {
  CHECK(iocp::kSendCopyMax < iocp::kSendBufferBytes);
  CHECK(iocp::kReadBufferBytes >= iocp::kSendBufferBytes);
}

TEST("records: every system call has a name of its own, and none has the empty one") {
  std::set<std::string> names;
  for (std::uint8_t i = 0; i < iocp::syscall_count(); ++i) {
    const std::string name = iocp::syscall_name(static_cast<iocp::Syscall>(i));
    CHECK_EQ(name.empty(), i == 0);
    CHECK(names.insert(name).second);
  }
  CHECK_EQ(std::string(iocp::syscall_name(iocp::Syscall::none)), "");
  CHECK_EQ(std::string(iocp::syscall_name(iocp::Syscall::write)), "write");
}

TEST("records: every figure of an engine has a name of its own, and every name a figure") {
  iocp::Engine engine({}, {});
  std::set<std::string> names;
  for (std::size_t i = 0; i < iocp::Engine::stat_count(); ++i) CHECK(names.insert(iocp::Engine::stat_name(i)).second);
  std::vector<double> figures(iocp::Engine::stat_count() + 1, -1.0);
  engine.stats(figures.data());
  for (std::size_t i = 0; i < iocp::Engine::stat_count(); ++i) CHECK_EQ(figures[i], 0.0);
  CHECK_EQ(figures.back(), -1.0);
}
