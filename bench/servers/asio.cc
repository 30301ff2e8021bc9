// Peer: the same echo on Asio (standalone), one thread: a read, then one write with the answers of all packages it
// brought, then the next read. It prints its port on standard output and serves until it is killed.
#include <algorithm>
#include <asio.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

namespace {

using asio::ip::tcp;

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kMaxFrame = std::size_t{1} << 20;
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;

std::size_t frame_length(const std::uint8_t* header) {
  return static_cast<std::size_t>(header[0]) | static_cast<std::size_t>(header[1]) << 8 |
         static_cast<std::size_t>(header[2]) << 16 | static_cast<std::size_t>(header[3]) << 24;
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(tcp::socket socket) : socket_(std::move(socket)), input_(kReadBytes) {
    socket_.set_option(tcp::no_delay(true));
  }

  // Reads behind what has arrived of the next package.
  void read() {
    if (input_.size() - filled_ < kReadBytes / 2) input_.resize(input_.size() * 2);
    socket_.async_read_some(asio::buffer(input_.data() + filled_, input_.size() - filled_),
                            [self = shared_from_this()](const asio::error_code& error, std::size_t bytes) {
                              if (!error) self->received(bytes);
                            });
  }

 private:
  void received(std::size_t bytes) {
    filled_ += bytes;
    std::size_t whole = 0;
    while (filled_ - whole >= kHeaderBytes) {
      const std::size_t length = frame_length(input_.data() + whole);
      if (length > kMaxFrame) return;  // the last reference goes, and the socket with it
      if (filled_ - whole < kHeaderBytes + length) break;
      whole += kHeaderBytes + length;
    }
    if (whole == 0) return read();
    asio::async_write(socket_, asio::buffer(input_.data(), whole),
                      [self = shared_from_this(), whole](const asio::error_code& error, std::size_t) {
                        if (!error) self->written(whole);
                      });
  }

  void written(std::size_t whole) {
    std::copy(input_.begin() + static_cast<std::ptrdiff_t>(whole),
              input_.begin() + static_cast<std::ptrdiff_t>(filled_), input_.begin());
    filled_ -= whole;
    read();
  }

  tcp::socket socket_;
  std::vector<std::uint8_t> input_;
  std::size_t filled_ = 0;
};

void accept(tcp::acceptor* acceptor) {
  acceptor->async_accept([acceptor](const asio::error_code& error, tcp::socket socket) {
    if (!error) std::make_shared<Session>(std::move(socket))->read();
    accept(acceptor);
  });
}

}  // namespace

int main() {
  asio::io_context context(1);
  tcp::acceptor acceptor(context);
  acceptor.open(tcp::v4());
  acceptor.set_option(tcp::acceptor::reuse_address(true));
  acceptor.bind({asio::ip::address_v4::loopback(), 0});
  acceptor.listen(4096);
  std::printf("listening %u\n", static_cast<unsigned>(acceptor.local_endpoint().port()));
  std::fflush(stdout);
  accept(&acceptor);
  context.run();
  return 0;
}
