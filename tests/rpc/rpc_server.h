#pragma once

#include <string>

#include <sys/types.h>

namespace chunkkv::test {

/// llama.cpp's ggml-rpc-server on a free port of this machine; the destructor kills it.
class RpcServer {
 public:
  RpcServer();
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace chunkkv::test
