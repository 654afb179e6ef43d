// A server that speaks hardly any gRPC, to see a connection from its other end.
#pragma once

#include <string>

namespace sessiongateway {

class RawServer {
 public:
  RawServer();
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  ~RawServer();

  const std::string& address() const { return address_; }

  /// Takes a connection and makes it one of HTTP/2, which answers nothing; false if none comes.
  bool accept();

  /// Reads until such bytes have come; false if they do not.
  bool has_read(const std::string& bytes);

  /// Reads until the client has closed the connection; false if it does not.
  bool is_closed();

 private:
  bool read_some();

  std::string address_;
  std::string seen_;
  int listener_ = -1;
  int connection_ = -1;
  bool closed_ = false;
};

}  // namespace sessiongateway
