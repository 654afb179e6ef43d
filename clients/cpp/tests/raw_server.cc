#include "raw_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

namespace sessiongateway {

namespace {

constexpr int kPatience = 20'000;

bool is_ready(int descriptor) {
  pollfd waiting{.fd = descriptor, .events = POLLIN, .revents = 0};
  return poll(&waiting, 1, kPatience) == 1;
}

}  // namespace

RawServer::RawServer() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const name = reinterpret_cast<sockaddr*>(&here);
  socklen_t size = sizeof(here);
  if (bind(listener_, name, size) != 0 || listen(listener_, 8) != 0 || getsockname(listener_, name, &size) != 0) {
    throw std::runtime_error("no server");
  }
  address_ = "127.0.0.1:" + std::to_string(ntohs(here.sin_port));
}

RawServer::~RawServer() {
  if (connection_ >= 0) close(connection_);
  close(listener_);
}

bool RawServer::accept() {
  if (!is_ready(listener_)) return false;
  connection_ = ::accept(listener_, nullptr, nullptr);
  // SETTINGS without any.
  constexpr std::array<unsigned char, 9> kSettings = {0, 0, 0, 4, 0, 0, 0, 0, 0};
  return write(connection_, kSettings.data(), kSettings.size()) == static_cast<ssize_t>(kSettings.size());
}

bool RawServer::has_read(const std::string& bytes) {
  while (seen_.find(bytes) == std::string::npos) {
    if (!read_some()) return false;
  }
  return true;
}

bool RawServer::is_closed() {
  while (read_some()) {
  }
  return closed_;
}

bool RawServer::read_some() {
  std::array<char, 4096> bytes{};
  if (!is_ready(connection_)) return false;
  const ssize_t count = read(connection_, bytes.data(), bytes.size());
  closed_ = count <= 0;
  if (!closed_) seen_.append(bytes.data(), static_cast<std::size_t>(count));
  return !closed_;
}

}  // namespace sessiongateway
