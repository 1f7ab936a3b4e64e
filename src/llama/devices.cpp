#include <chunkkv/devices.h>

#include <chunkkv/error.h>

#include <ggml-backend.h>

#include <charconv>
#include <chrono>
#include <future>
#include <set>
#include <thread>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace chunkkv {
namespace {

constexpr int kConnectMs = 5000;
constexpr std::chrono::seconds kGreetingTime(10);

struct Address {
  std::string host, port;
};

Address address_of(const std::string& server) {
  const std::size_t colon = server.rfind(':');
  int port = 0;
  const char* end = server.data() + server.size();
  if (colon == std::string::npos || colon == 0 ||
      std::from_chars(server.data() + colon + 1, end, port).ptr != end || port < 1 || port > 65535)
    throw UsageError("'" + server + "' is no RPC server; give HOST:PORT, as 192.168.1.5:50052");
  return {server.substr(0, colon), server.substr(colon + 1)};
}

[[noreturn]] void refuse(const std::string& server, const std::string& reason) {
  throw Error("the RPC server " + server + " " + reason + "; start llama.cpp's ggml-rpc-server there");
}

bool connects(const addrinfo& address) {
  const int fd = socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  int error = 0;
  if (connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    error = errno;
    pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
    socklen_t size = sizeof error;
    if (error == EINPROGRESS &&
        (poll(&wait, 1, kConnectMs) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0))
      error = ETIMEDOUT;
  }
  close(fd);
  return error == 0;
}

/// Error where nothing listens at the server's address. The engine itself would end the program there, or
/// wait for minutes where nothing answers.
void require_reachable(const std::string& server) {
  const Address to = address_of(server);
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(to.host.c_str(), to.port.c_str(), &hints, &found) != 0 || found == nullptr)
    refuse(server, "has no known address");
  const bool is_there = connects(*found);
  freeaddrinfo(found);
  if (!is_there) refuse(server, "does not listen");
}

using AddServer = ggml_backend_reg_t (*)(const char*);

/// The devices of a server, as the engine lists them. Error when it does not answer within kGreetingTime: it
/// may be serving another client, and answers only after that.
ggml_backend_reg_t greeted(const std::string& server, AddServer add_server) {
  std::promise<ggml_backend_reg_t> promise;
  std::future<ggml_backend_reg_t> answer = promise.get_future();
  std::thread([server, add_server, promise = std::move(promise)]() mutable {
    promise.set_value(add_server(server.c_str()));
  }).detach();
  if (answer.wait_for(kGreetingTime) != std::future_status::ready)
    refuse(server, "does not answer; it may be serving another client, and it serves one at a time");
  return answer.get();
}

}  // namespace

std::vector<Device> list_devices() {
  ggml_backend_load_all();
  std::vector<Device> devices;
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    std::size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    devices.push_back({.name = ggml_backend_dev_name(device),
                       .description = ggml_backend_dev_description(device),
                       .is_cpu = ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU,
                       .free_bytes = free,
                       .total_bytes = total});
  }
  return devices;
}

void add_rpc_servers(std::span<const std::string> servers) {
  static std::set<std::string> known;
  ggml_backend_load_all();
  const ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
  const auto add_server = rpc == nullptr ? nullptr
                                         : reinterpret_cast<AddServer>(ggml_backend_reg_get_proc_address(
                                               rpc, "ggml_backend_rpc_add_server"));
  if (!servers.empty() && add_server == nullptr)
    throw Error("this llama.cpp was built without RPC; build it with -DGGML_RPC=ON");
  for (const std::string& server : servers) {
    if (known.contains(server)) continue;
    require_reachable(server);
    const ggml_backend_reg_t devices = greeted(server, add_server);
    if (devices == nullptr) refuse(server, "has no devices, or is of another version");
    ggml_backend_register(devices);
    known.insert(server);
  }
}

}  // namespace chunkkv
