// The one list of errors: every status has a code as Node.js spells it and a message.
#include "port/status.h"

#include <cctype>
#include <set>
#include <string>

#include "support/test.h"

using iocp::Status;

TEST("status: every status has a code of its own and a message of its own") {
  std::set<std::string> codes;
  std::set<std::string> messages;
  for (std::uint8_t i = 0; i < iocp::status_count(); ++i) {
    const auto status = static_cast<Status>(i);
    REQUIRE(iocp::status_code(status) != nullptr);
    REQUIRE(iocp::status_message(status) != nullptr);
    CHECK(codes.insert(iocp::status_code(status)).second);
    CHECK(messages.insert(iocp::status_message(status)).second);
  }
  CHECK_EQ(codes.size(), iocp::status_count());
}

TEST("status: codes are capitals, messages are fragments without a full stop") {
  for (std::uint8_t i = 0; i < iocp::status_count(); ++i) {
    const std::string code = iocp::status_code(static_cast<Status>(i));
    const std::string message = iocp::status_message(static_cast<Status>(i));
    CHECK(!code.empty());
    for (const char letter : code) CHECK((letter >= 'A' && letter <= 'Z') || letter == '_');
    CHECK(!message.empty());
    CHECK(std::islower(static_cast<unsigned char>(message.front())) != 0);
    CHECK(message.back() != '.');
  }
}

TEST("status: success is the first, and errors are called what Node.js calls them") {
  CHECK_EQ(static_cast<int>(Status::ok), 0);
  CHECK_EQ(std::string(iocp::status_code(Status::connection_reset)), "ECONNRESET");
  CHECK_EQ(std::string(iocp::status_code(Status::address_in_use)), "EADDRINUSE");
  CHECK_EQ(std::string(iocp::status_code(Status::cancelled)), "ECANCELED");
  CHECK_EQ(std::string(iocp::status_code(Status::package_too_large)), "ERR_IOCP_PACKAGE_TOO_LARGE");
}
