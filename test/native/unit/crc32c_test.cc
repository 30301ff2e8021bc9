// CRC-32C: known values, the processor against the tables, pieces put together.
#include "core/crc32c.h"

#include <string_view>

#include "port/crc32c.h"
#include "unit/random.h"

using iocp::ConstBytes;
using iocp::crc32c;
using iocp::crc32c_combine;
using iocp::crc32c_extend;
using iocp::crc32c_extend_by_table;
using unit::Bytes;
using unit::bytes_of;
using unit::Random;

namespace {

struct Known {
  Bytes bytes;
  std::uint32_t check;
};

Bytes counting(int first, int step) {
  Bytes bytes;
  for (int i = 0; i < 32; ++i) bytes.push_back(static_cast<std::uint8_t>(first + i * step));
  return bytes;
}

// RFC 3720, appendix B.4, and the check value every catalogue of CRCs gives.
std::vector<Known> known_values() {
  return {
      {Bytes(32, 0x00), 0x8A9136AA},
      {Bytes(32, 0xFF), 0x62A8AB43},
      {counting(0x00, 1), 0x46DD794E},
      {counting(0x1F, -1), 0x113FDB5C},
      // An iSCSI SCSI Read (10) command.
      {bytes_of({0x01, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18,
                 0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}),
       0xD9963A56},
      {bytes_of("123456789"), 0xE3069283},
      {{}, 0},
  };
}

// The definition, bit by bit, sharing nothing with what it judges.
std::uint32_t by_definition(ConstBytes bytes) {
  std::uint32_t state = 0xFFFFFFFF;
  for (const std::uint8_t byte : bytes) {
    state ^= byte;
    for (int bit = 0; bit < 8; ++bit) state = (state & 1) != 0 ? (state >> 1) ^ 0x82F63B78 : state >> 1;
  }
  return ~state;
}

// Runs the processor's own kernel, where there is one; the tables elsewhere.
std::uint32_t by_hardware(std::uint32_t check, ConstBytes bytes) {
  const iocp::Crc32cHardware hardware = iocp::crc32c_hardware();
  if (hardware.kernel == nullptr) return crc32c_extend_by_table(check, bytes);
  return ~hardware.kernel(~check, bytes.data(), bytes.size());
}

}  // namespace

TEST("crc32c: the values of RFC 3720 come out, by tables and by the processor") {
  for (const Known& known : known_values()) {
    CHECK_EQ(by_definition(known.bytes), known.check);
    CHECK_EQ(crc32c(known.bytes), known.check);
    CHECK_EQ(crc32c_extend_by_table(0, known.bytes), known.check);
    CHECK_EQ(by_hardware(0, known.bytes), known.check);
  }
}

TEST("crc32c: an instruction is named exactly when there is one") {
  const iocp::Crc32cHardware hardware = iocp::crc32c_hardware();
  CHECK_EQ(std::string_view(iocp::crc32c_hardware_name()), std::string_view(hardware.name));
  CHECK_EQ(hardware.kernel == nullptr, std::string_view(hardware.name) == "none");
}

// Every length around the sizes at which a form changes its step: 8, 3 x 256, 3 x 8192, and any alignment.
TEST("crc32c: processor and tables agree at every length and alignment") {
  Random random;
  const Bytes bytes = random.bytes(2 * 3 * 8192 + 3 * 256 + 64);
  for (std::size_t length = 0; length < 900; ++length) {
    const ConstBytes piece = ConstBytes(bytes).subspan(length % 8, length);
    REQUIRE(by_hardware(0, piece) == crc32c_extend_by_table(0, piece));
  }
  for (const std::size_t edge : {3U * 256U, 6U * 256U, 3U * 8192U, 6U * 8192U, 3U * 8192U + 3U * 256U}) {
    for (std::size_t length = edge - 9; length <= edge + 9; ++length) {
      for (std::size_t start = 0; start < 8; ++start) {
        const ConstBytes piece = ConstBytes(bytes).subspan(start, length);
        REQUIRE(by_hardware(7, piece) == crc32c_extend_by_table(7, piece));
      }
    }
  }
}

TEST("crc32c: random bytes in random pieces, extended and combined, give the check by definition") {
  Random random;
  for (int turn = 0; turn < 300; ++turn) {
    const Bytes bytes = random.bytes(static_cast<std::size_t>(random.below(random.chance(90) ? 3000 : 60'000)));
    const std::uint32_t expected = by_definition(bytes);
    std::uint32_t extended = 0;
    std::uint32_t combined = 0;
    ConstBytes rest = bytes;
    while (!rest.empty()) {
      const ConstBytes piece = rest.first(static_cast<std::size_t>(random.between(1, rest.size())));
      rest = rest.subspan(piece.size());
      extended = random.chance(50) ? by_hardware(extended, piece) : crc32c_extend_by_table(extended, piece);
      combined = crc32c_combine(combined, crc32c(piece), piece.size());
    }
    REQUIRE(extended == expected);
    REQUIRE(combined == expected);
  }
}

TEST("crc32c: pieces beyond 4 GiB combine as if their bytes had been seen") {
  // Zeros double by combination: 2^20 bytes, 2^21, … 2^36. The other way round by single multiplications.
  const Bytes zeros(1 << 20, 0);
  const std::uint32_t piece = crc32c(zeros);
  std::uint32_t doubled = piece;
  std::uint64_t length = zeros.size();
  for (; length < (std::uint64_t{1} << 36); length *= 2) doubled = crc32c_combine(doubled, doubled, length);
  std::uint32_t appended = 0;
  for (std::uint64_t count = 0; count < length; count += zeros.size()) {
    appended = crc32c_combine(appended, piece, zeros.size());
  }
  CHECK_EQ(doubled, appended);
  CHECK_EQ(crc32c_combine(doubled, 0, 0), doubled);
  CHECK_EQ(crc32c_combine(0, doubled, length), doubled);
}

TEST("crc32c: one flipped bit anywhere changes the check") {
  Random random;
  for (int turn = 0; turn < 2000; ++turn) {
    Bytes bytes = random.bytes(static_cast<std::size_t>(random.between(1, 2000)));
    const std::uint32_t before = crc32c(bytes);
    bytes[static_cast<std::size_t>(random.below(bytes.size()))] ^= static_cast<std::uint8_t>(1U << random.below(8));
    REQUIRE(crc32c(bytes) != before);
  }
}
