#pragma once

namespace CLI {
class App;
}

/// Each function adds one subcommand: it declares the options and what happens when the subcommand is called.
namespace chunkkv::cli {

void add_run(CLI::App& app);
void add_inspect(CLI::App& app);
void add_perf(CLI::App& app);
void add_eval(CLI::App& app);
void add_report(CLI::App& app);
void add_methods(CLI::App& app);
void add_cache(CLI::App& app);
void add_chat(CLI::App& app);
void add_serve(CLI::App& app);

}  // namespace chunkkv::cli
