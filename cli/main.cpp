#include "cli/commands/commands.h"
#include "cli/options/arguments.h"
#include "cli/options/device_options.h"
#include "cli/terminal/engine_log.h"
#include "cli/terminal/output.h"
#include "cli/terminal/signals.h"
#include "web/assets.h"

#include <chunkkv/error.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace chunkkv::cli {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

int fail(int code, std::string_view message) {
  print_error(fmt::format("chunkkv: {}\n", message));
  return code;
}

int run(int argc, const char* const* argv) {
  CLI::App app("KV-cache compression for llama.cpp", "chunkkv");
  app.set_version_flag("--version",
                       fmt::format("chunkkv {} (llama.cpp {})", CHUNKKV_VERSION, engine_version()));
  bool licenses = false;
  app.add_flag("--licenses", licenses, "print the licences of chunkkv and of what it contains");
  app.require_subcommand(0, 1);
  app.option_defaults()->take_last();  // as in llama.cpp: options after those of a script override them
  add_run(app);
  add_chat(app);
  add_serve(app);
  add_cache(app);
  add_inspect(app);
  add_perf(app);
  add_eval(app);
  add_report(app);
  add_methods(app);
  const std::vector<std::string> arguments = spell_out(argc, argv);
  if (asks_for_devices(arguments)) {
    set_engine_log(false);
    print(device_list(arguments));
    return 0;
  }
  try {
    // The parser takes the first argument from the end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return fail(kUsage, fmt::format("{} (see `chunkkv --help` or `chunkkv COMMAND --help`)",
                                    with_short_names(error.what())));
  }
  if (licenses) {
    print(web::assets::licenses);
    return 0;
  }
  if (app.get_subcommands().empty()) {
    throw UsageError(
        "no command given; choose run, chat, serve, cache, eval, report, inspect, perf or methods "
        "(`chunkkv --help` explains them)");
  }
  return stop_requested() ? stop_exit_code() : 0;
}

}  // namespace
}  // namespace chunkkv::cli

int main(int argc, char** argv) {
  using namespace chunkkv;
  using namespace chunkkv::cli;
  keep_standard_streams_apart();
  catch_stop_signals();
  try {
    return run(argc, argv);
  } catch (const Interrupted& error) {
    return fail(stop_exit_code(), error.what());
  } catch (const UsageError& error) {
    return fail(kUsage, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kFailure, "out of memory; use a smaller context (-c) or smaller cache types (-ctk, -ctv)");
  } catch (const std::exception& error) {
    const std::string errors = silenced_errors();
    return fail(kFailure, error.what() + (errors.empty() ? errors : "\nllama.cpp said:\n" + errors));
  }
}
