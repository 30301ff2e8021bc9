// Packages laid out for one write: every byte in order, small ones in one slice, large ones where they are, and no more
// than fits.
#include "core/write_run.h"

#include <string>

#include "support/test.h"

namespace {

using iocp::ConstBytes;
using iocp::WriteRun;

ConstBytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string joined(const WriteRun& run) {
  std::string all;
  for (const ConstBytes slice : run.slices()) all.append(reinterpret_cast<const char*>(slice.data()), slice.size());
  return all;
}

}  // namespace

TEST("write run: small packages lie in one slice, headers and trailers included") {
  WriteRun run;
  CHECK(run.add(bytes_of("h1"), bytes_of("first"), bytes_of("\n")));
  CHECK(run.add({}, bytes_of("second"), {}));
  CHECK(run.add(bytes_of("h3"), {}, {}));
  CHECK_EQ(run.slices().size(), 1U);
  CHECK_EQ(joined(run), std::string("h1first\nsecondh3"));
  CHECK_EQ(run.bytes(), joined(run).size());
  CHECK_EQ(run.packages(), 3U);
}

TEST("write run: a large payload stays where it is, between what was copied") {
  const std::string large(WriteRun::kCopiedPartMax + 1, 'x');
  WriteRun run;
  CHECK(run.add(bytes_of("a"), bytes_of("small"), {}));
  CHECK(run.add(bytes_of("b"), bytes_of(large), bytes_of("end")));
  CHECK(run.add(bytes_of("c"), bytes_of("small"), {}));
  CHECK_EQ(run.slices().size(), 3U);
  CHECK(run.slices()[1].data() == bytes_of(large).data());
  CHECK_EQ(joined(run), "asmallb" + large + "endcsmall");
  CHECK_EQ(run.bytes(), joined(run).size());
}

TEST("write run: a header may go right before a large payload, as one slice with it, and nothing else is touched") {
  const std::size_t length = WriteRun::kCopiedPartMax + 1;
  std::string record = "0123456789" + std::string(length, 'x');
  const iocp::MutableBytes memory(reinterpret_cast<std::uint8_t*>(record.data()), record.size());
  WriteRun run;
  CHECK(run.add(bytes_of("a"), bytes_of("small"), {}));
  CHECK(run.add(bytes_of("head"), iocp::ConstBytes(memory).last(length), bytes_of("end"), memory.first(10)));
  CHECK_EQ(run.slices().size(), 3U);
  CHECK_EQ(joined(run), "asmallhead" + std::string(length, 'x') + "end");
  CHECK_EQ(record.substr(0, 10), std::string("012345head"));
  // A header longer than what lies before is copied, as ever.
  CHECK(run.add(bytes_of("a long header"), iocp::ConstBytes(memory).last(length), {}, memory.first(10)));
  CHECK_EQ(record.substr(0, 10), std::string("012345head"));
  CHECK_EQ(run.bytes(), joined(run).size());
}

TEST("write run: what does not fit is refused whole, by bytes and by slices") {
  const std::string small(WriteRun::kCopiedPartMax, 's');
  const std::string large(WriteRun::kCopiedPartMax + 1, 'l');
  for (const std::string& payload : {small, large}) {
    WriteRun run;
    std::size_t added = 0;
    while (run.add(bytes_of("head"), bytes_of(payload), {})) ++added;
    CHECK(added >= 10 && added < 100);
    CHECK_EQ(run.packages(), added);
    CHECK_EQ(run.bytes(), added * (4 + payload.size()));
    CHECK_EQ(joined(run).size(), run.bytes());
    CHECK(run.slices().size() <= iocp::Port::kMaxSlices);
  }
}
