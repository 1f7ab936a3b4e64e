#include "cli/commands/commands.h"
#include "cli/files/inputs.h"
#include "cli/files/text_file.h"
#include "cli/options/option_group.h"
#include "cli/terminal/output.h"

#include "report/report.h"

#include <chunkkv/error.h>
#include <chunkkv/registry.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace chunkkv::cli {
namespace {

struct ReportArguments {
  std::vector<std::string> results;
  std::optional<std::string> html;
  std::optional<std::string> markdown;  // "-": standard output
  std::string baseline = "chunkkv";
};

/// UsageError for an output that is named like results: "--markdown" takes the word after it as its file,
/// which may be results that were meant to be read.
void refuse_results(const std::string& output) {
  if (std::filesystem::path(output).extension() == ".jsonl")
    throw UsageError(
        fmt::format("'{}' holds results and is not written over; give the results first, and "
                    "--markdown or -o with a file of its own after them",
                    output));
}

bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) ||
         std::filesystem::weakly_canonical(a, error) == std::filesystem::weakly_canonical(b, error);
}

report::Report read_report(const ReportArguments& arguments) {
  report::ResultReader reader;
  for (const std::string& file : arguments.results) reader.read(file, read_text(file));
  return report::make_report(reader.results(), make_method(arguments.baseline)->spec());
}

void write_report(const ReportArguments& arguments) {
  if (arguments.results.empty())
    throw UsageError("no results given; name the JSONL files that `chunkkv eval` or `chunkkv perf` wrote");
  if (!arguments.html && !arguments.markdown)
    throw UsageError("nothing to write; choose a page with -o report.html, or tables with --markdown");
  std::optional<OutputFile> html, markdown;
  if (arguments.html) {
    refuse_results(*arguments.html);
    html.emplace(*arguments.html);
  }
  if (arguments.markdown && *arguments.markdown != "-") {
    refuse_results(*arguments.markdown);
    if (arguments.html && is_same_file(*arguments.html, *arguments.markdown))
      throw UsageError(
          fmt::format("page and tables cannot both go to '{}'; name two files", *arguments.html));
    markdown.emplace(*arguments.markdown);
  }

  const report::Report report = read_report(arguments);
  if (html) html->commit(report::report_page(report));
  if (markdown) {
    markdown->commit(report::markdown(report));
  } else if (arguments.markdown) {
    print(report::markdown(report));
  }
}

}  // namespace

void add_report(CLI::App& app) {
  auto arguments = std::make_shared<ReportArguments>();
  CLI::App& command = *app.add_subcommand("report", "make a page or tables of the results of eval and perf");
  reads_file(command.add_option("RESULTS", arguments->results, "JSONL files; - is standard input"))
      ->take_all();
  const OptionGroup own(command);
  own.add("-o,--output", arguments->html, "HTML page to write; it loads nothing when it is opened", "FILE");
  own.add("--markdown", arguments->markdown,
          "Markdown tables to write; without FILE, or with -, they are printed", "[FILE]")
      ->expected(0, 1)
      ->default_str("-");
  own.add("--baseline", arguments->baseline,
          fmt::format("method that the others are set against (default: {})", arguments->baseline), "SPEC");
  command.callback([arguments] { write_report(*arguments); });
}

}  // namespace chunkkv::cli
