#include "cli/terminal/engine_log.h"

#include "cli/terminal/output.h"

#include <llama.h>
#include <log.h>

#include <cstddef>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string_view>

namespace chunkkv::cli {
namespace {

constexpr std::size_t kMaxLines = 8;

std::mutex mutex;
bool shown = false;
std::deque<std::string> errors;  // the last messages; pieces that continue one are joined to it

void keep_errors(ggml_log_level level, const char* text, void*) {
  static thread_local bool in_error = false;
  if (level != GGML_LOG_LEVEL_CONT) in_error = level == GGML_LOG_LEVEL_ERROR;
  if (!in_error) return;
  const std::lock_guard lock(mutex);
  if (level == GGML_LOG_LEVEL_CONT && !errors.empty()) {
    errors.back() += text;
    return;
  }
  errors.emplace_back(text);
  if (errors.size() > kMaxLines) errors.pop_front();
}

void show(ggml_log_level level, const char* text, void*) {
  if (level != GGML_LOG_LEVEL_DEBUG) print_error(text);
}

/// Replaces the engine's own report of a fault, a debugger's trace that would go to standard output.
void report_abort(const char* message) {
  print_error(
      "chunkkv: llama.cpp stopped at a fault of its own; please report it with this command. It said: ");
  print_error(message);
  print_error("\n");
}

/// The engine ends the program when a server is gone, whatever it is doing.
void report_lost_server(const char* message) {
  if (std::string_view(message).find("RPC") == std::string_view::npos) {
    report_abort(message);
    return;
  }
  print_error(
      "chunkkv: a server of --rpc stopped answering, so this cannot go on; what was finished before is kept. "
      "Start its ggml-rpc-server again and repeat the command\n");
  std::_Exit(1);
}

}  // namespace

void set_engine_log(bool verbose) {
  shown = verbose;
  llama_log_set(verbose ? show : keep_errors, nullptr);
  ggml_set_abort_callback(report_abort);
  common_log_set_verbosity_thold(verbose ? LOG_LEVEL_INFO : LOG_LEVEL_OUTPUT);
}

void report_lost_servers() {
  ggml_set_abort_callback(report_lost_server);
}

bool shows_engine_log() {
  return shown;
}

std::string silenced_errors() {
  const std::lock_guard lock(mutex);
  std::string all;
  for (const std::string& line : errors) all += line;
  while (!all.empty() && all.back() == '\n') all.pop_back();
  return all;
}

std::string engine_version() {
  return llama_version();
}

}  // namespace chunkkv::cli
