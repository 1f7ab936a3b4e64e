#include "serve/http/server.h"

#include "cli/commands/commands.h"
#include "cli/commands/saved_cache.h"
#include "cli/files/text_file.h"
#include "cli/options/option_group.h"
#include "cli/options/options.h"
#include "cli/options/sampler_options.h"
#include "cli/show/units.h"
#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace chunkkv::cli {
namespace {

/// The most cells of the cache where -c is not given; a model that was trained for fewer gets those.
constexpr std::int32_t kMostDefaultCells = 32768;
/// Conversations held in the cache by default, those in work included, where a sequence costs nothing.
constexpr std::int32_t kConversations = 64;

struct ServeArguments {
  ModelArguments model;
  CompressionArguments compression;
  serve::HttpOptions http;
  serve::RequestDefaults requests;
  std::int32_t parallel = 4;
  std::int32_t conversations = 0;
  std::int32_t cells = 0;
  std::string source_bytes = "1G";
  bool source = false;
  std::string save_path;
  std::string key_file, template_file;
  std::int32_t queue = 256;
  bool metrics = false;
  bool jinja = true;
};

/// The number of bytes that a text such as "512M" stands for.
std::uint64_t bytes_of(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  static const std::map<std::string_view, double> units = {
      {"", 1},       {"K", 0x1p10},   {"k", 0x1p10}, {"KiB", 0x1p10}, {"M", 0x1p20},
      {"m", 0x1p20}, {"MiB", 0x1p20}, {"G", 0x1p30}, {"g", 0x1p30},   {"GiB", 0x1p30}};
  const auto unit = units.find(end);
  if (end == text.c_str() || unit == units.end() || !(value >= 0) || value * unit->second > 1e18)
    throw UsageError(fmt::format("--source-bytes is a number of bytes such as 512M or 4G, not '{}'", text));
  return std::uint64_t(value * unit->second);
}

void read_keys(ServeArguments& a) {
  if (const char* key = std::getenv("LLAMA_API_KEY"); key != nullptr && *key != '\0')
    a.http.api_keys.emplace_back(key);
  if (a.key_file.empty()) return;
  std::ifstream file(a.key_file);
  if (!file) throw Error(fmt::format("cannot read the keys in '{}'", a.key_file));
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) a.http.api_keys.push_back(line);
  }
  if (a.http.api_keys.empty()) throw UsageError(fmt::format("there is no key in '{}'", a.key_file));
}

std::int32_t n_sequences(const ServeArguments& a) {
  return a.conversations > 0 ? std::max(a.conversations, a.parallel) : std::max(a.parallel, kConversations);
}

std::unique_ptr<Session> open_served(const ServeArguments& a, const std::shared_ptr<Model>& model) {
  SessionOptions options = session_options(a.model);
  require_flash_attention(options);
  options.n_cells =
      a.model.ctx_size > 0 ? a.model.ctx_size : std::min(model->info().n_ctx_train, kMostDefaultCells);
  options.n_sequences = n_sequences(a);
  auto session = open_session(model, options);
  const CacheParts& parts = session->cache_parts();
  if (a.conversations > 0 || parts.n_window + parts.n_state == 0 || options.n_sequences == a.parallel)
    return session;
  // Each sequence of this model costs windows and states of its own: open only as many as work at once.
  options.n_sequences = a.parallel;
  session.reset();
  return open_session(model, options);
}

serve::KvSettings settings(const ServeArguments& a) {
  const Plan wanted = plan(a.compression);
  serve::KvSettings kv;
  kv.method = wanted.method;
  kv.keep = Budget::parse(a.compression.keep);
  kv.keep_text = a.compression.keep;
  kv.keep_at_least = a.compression.keep_at_least;
  kv.cells = a.cells;
  kv.source = a.source;
  return kv;
}

/// UsageError for --cells in which no longer prompt could be read.
void require_room(const serve::KvSettings& kv, std::int32_t n_cells) {
  if (kv.cells == 0 || kv.cells >= n_cells || !kv.compresses()) return;
  const std::int32_t least = serve::least_cells(kv, n_cells);
  if (least == kv.cells) return;
  throw UsageError(
      fmt::format("--cells {} does not hold what is kept of a longer prompt and a piece of it; {}keep less "
                  "(--keep, --keep-at-least)",
                  kv.cells, least > 0 ? fmt::format("give at least {}, or ", least) : ""));
}

void print_banner(const serve::Service& service, const serve::HttpOptions& http, int port) {
  const CacheUse use = service.session.use();
  const std::string held = service.kv.compresses()
                               ? fmt::format("prompts are kept by {} at {} (--method full keeps all)",
                                             service.kv.method->spec(), service.kv.keep_text)
                               : "prompts are kept whole (--method and --keep compress them)";
  const bool is_ipv6 = http.host.find(':') != std::string::npos;
  print_error(fmt::format(
      "{}: {} cells, {} of cache, {} of host memory for prompts at most\n{}\nlistening on http://{}:{}\n",
      service.alias, use.cells_allocated, mebibytes(use.bytes_allocated + use.bytes_fixed),
      mebibytes(service.source_bytes), held, is_ipv6 ? "[" + http.host + "]" : http.host, port));
}

/// Serves until a signal or a failure stops it, and throws the failure.
void run_until_stopped(serve::Scheduler& scheduler, serve::HttpServer& server) {
  std::exception_ptr failure;
  std::thread inference([&] {
    try {
      scheduler.run();
    } catch (...) {
      failure = std::current_exception();
    }
    server.stop();
  });
  std::thread connections([&] { server.listen(); });
  std::atomic<bool> ends = false;
  std::thread watch([&] {
    while (!stop_requested() && !ends) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    scheduler.stop();
  });
  inference.join();
  ends = true;
  watch.join();
  connections.join();
  if (failure) std::rethrow_exception(failure);
}

/// Makes the allocator return blocks of this size to the system as soon as they are freed. By itself glibc
/// stops doing so once it has seen larger ones, and prompts of all sizes that come and go leave gaps.
void return_large_blocks() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

void serve_model(ServeArguments a) {
  return_large_blocks();
  read_keys(a);
  const std::uint64_t source_bytes = bytes_of(a.source_bytes);
  const serve::KvSettings kv = settings(a);
  if (!a.template_file.empty()) {
    a.requests.chat_template = read_text(a.template_file);
    if (a.requests.chat_template.empty()) throw UsageError(fmt::format("'{}' is empty", a.template_file));
  }
  const std::shared_ptr<Model> model = load_model(a.model);
  const std::unique_ptr<Session> session = open_served(a, model);
  require_room(kv, session->options().n_cells);
  if (a.requests.alias.empty()) a.requests.alias = std::filesystem::path(a.model.model).filename().string();
  a.requests.most_answers = session->options().n_sequences;
  serve::RequestParser parser(model, a.requests);
  serve::Metrics metrics;
  CacheFormat format;
  CacheFileInfo info;
  if (!a.save_path.empty()) {
    format = format_of(*session);
    info = new_info(*session, format);
  }
  serve::PromptFiles files(a.save_path, info, format, [](const std::string& error) {
    print_error(fmt::format("chunkkv: {}\n", error));
  });
  serve::Scheduler scheduler(*session, files, metrics,
                             {.n_parallel = a.parallel,
                              .most_queued = std::size_t(a.queue),
                              .queue_seconds = a.http.timeout,
                              .source_bytes = source_bytes});
  const serve::Service service{.model = model,
                               .session = *session,
                               .parser = parser,
                               .scheduler = scheduler,
                               .files = files,
                               .metrics = metrics,
                               .kv = kv,
                               .alias = a.requests.alias,
                               .version = CHUNKKV_VERSION,
                               .n_parallel = a.parallel,
                               .source_bytes = source_bytes,
                               .has_metrics = a.metrics};
  a.http.n_threads = a.parallel + a.queue + 16;
  serve::HttpServer server(service, a.http);
  const int port = server.bind();
  print_banner(service, a.http, port);

  run_until_stopped(scheduler, server);
  print_error("stopped\n");
  end_by_signal();
}

void add_server_options(CLI::App& app, ServeArguments& a) {
  const OptionGroup options(app, "Server");
  options.add("--host", a.http.host, "address to listen on (default: 127.0.0.1: this machine only)",
              "ADDRESS");
  options.add("--port", a.http.port, "port, 0: any free one (default: 8080)", "N", 0, 65535);
  options
      .add("--api-key", a.http.api_keys,
           "key that requests must bring; several with commas (or LLAMA_API_KEY)", "KEY")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(
          [](const std::string& key) {
            return key.empty() ? "is empty: give a key, or leave the option out to serve everyone" : "";
          },
          "", "");
  options.add("--api-key-file", a.key_file, "file with a key a line", "FILE");
  options.add("-a,--alias", a.requests.alias, "the model's name in replies (default: its file's)", "NAME");
  options.add("--parallel", a.parallel, "-np: answers in work at once; others wait (default: 4)", "N", 1,
              255);
  options.add("--queue", a.queue, "prompts that wait at most; then 503 (default: 256)", "N", 1, 4096);
  options.add(
      "--timeout", a.http.timeout,
      "-to: seconds that a request waits for its turn, and a connection for its client (default: 600)", "N",
      1, 86400);
  options.add("--max-body", a.http.most_bytes, "bytes of a request at most (default: 67108864)", "N",
              std::size_t{1024}, std::size_t{1} << 32);
  options.add("--cors-origin", a.http.cors_origin,
              "pages of this origin may use the server from a browser; *: all", "ORIGIN");
  options.flag("--metrics", a.metrics, "serve /metrics");
  options.add("--chat-template-file", a.template_file, "Jinja template instead of the model's", "FILE");
  options.flag("--jinja", a.jinja, "templates are Jinja's in any case");
}

void add_cache_options(CLI::App& app, ServeArguments& a) {
  const OptionGroup options(app, "Conversations");
  options.add("--cells", a.cells, "cells that one conversation uses at most (default: as many as its prompt)",
              "N", 0, kMaxCount);
  options.add(
      "--conversations", a.conversations,
      "conversations held in the cache (default: 64; -np where each has windows or states of its own)", "N",
      0, 255);
  options.flag("--source", a.source, "keep whole prompts in host memory, and choose anew for each question");
  options.add("--source-bytes", a.source_bytes,
              "host memory for whole prompts and for conversations that leave the cells (default: 1G)",
              "BYTES");
  options.add("--slot-save-path", a.save_path, "folder of saved prompts", "FOLDER");
  options.add("-n,--predict,--n-predict", a.requests.n_predict,
              "tokens of an answer at most (default: no limit)", "N", -1, kMaxCount);
}

void add_default_sampling(CLI::App& app, ServeArguments& a) {
  const OptionGroup options(app, "Sampling, where a request says nothing");
  add_sampler_options(options, a.requests, "temperature (default: 0.8)",
                      "seed, -1: a random one (default: -1)");
}

}  // namespace

void add_serve(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("serve", "serve a model to the clients of OpenAI's and Anthropic's APIs");
  const auto arguments = std::make_shared<ServeArguments>();
  add_model_options(*command, arguments->model,
                    fmt::format("what the model was trained for, {} at most", kMostDefaultCells));
  add_compression_options(*command, arguments->compression);
  add_keep_at_least(*command, arguments->compression);
  add_cache_options(*command, *arguments);
  add_server_options(*command, *arguments);
  add_default_sampling(*command, *arguments);
  command->callback([arguments] { serve_model(*arguments); });
}

}  // namespace chunkkv::cli
