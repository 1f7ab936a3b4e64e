#include "results/speed.h"

#include "results/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chunkkv::results {
namespace {

/// Adds the sum of the parts as `figure`, where none is missing.
template <class... Part>
void add_sum(std::map<std::string, double>& figures, const char* figure, Part... part) {
  if ((part && ...)) figures.emplace(figure, (*part + ...));
}

}  // namespace

std::string key(const SpeedRecord& record) {
  return key_of_parts("perf", record.input, record.output, record.repetition, record.pair.method,
                      record.pair.keep, model_key(record.origin), record.origin.machine, record.settings);
}

Json identity(const SpeedRecord& record) {
  Json line = {{"benchmark", "perf"},
               {"method", record.pair.method},
               {"keep", record.pair.keep},
               {"input", record.input},
               {"output", record.output},
               {"repetition", record.repetition},
               {"model_hash", record.origin.model_hash},
               {"machine", record.origin.machine}};
  if (!record.settings.empty()) line["settings"] = record.settings;
  if (record.window > 0) line["window"] = record.window;
  return line;
}

Json to_json(const SpeedRecord& record, const SpeedSample& sample) {
  Json line = identity(record);
  line["kept_tokens"] = sample.kept_tokens;
  line["ms"] = {{"prefill", rounded(sample.prefill_ms)},
                {"observe", rounded(sample.observe_ms)},
                {"select", rounded(sample.select_ms)},
                {"move", rounded(sample.move_ms)},
                {"first_token", rounded(sample.first_token_ms)},
                {"per_token", rounded(sample.per_token_ms)},
                {"total", rounded(sample.total_ms)}};
  line["throughput"] = rounded(sample.throughput(record.input, record.output));
  line["bytes"] = {
      {"before", sample.bytes_before}, {"after", sample.bytes_after}, {"peak", sample.bytes_peak}};
  if (sample.bytes_gpu > 0) line["bytes"]["gpu"] = sample.bytes_gpu;
  line["model"] = record.origin.model;
  line["version"] = record.origin.version;
  return line;
}

SpeedRecord speed_record(const Json& json) {
  const Fields fields(json);
  SpeedRecord line{.origin = fields.origin(),
                   .pair = fields.pair(),
                   .input = fields.count("input"),
                   .output = fields.count("output"),
                   .repetition = fields.count("repetition"),
                   .figures = {},
                   .settings = fields.text_or("settings", "")};
  if (line.input == 0 || line.output == 0) throw UsageError("it has no \"input\" and \"output\" above 0");

  const Json times = fields.object("ms");
  const Json memory = fields.object("bytes");
  const Fields ms(times);
  const Fields bytes(memory);
  add_sum(line.figures, "compression", ms.number("observe"), ms.number("select"), ms.number("move"));
  if (const auto total = ms.number("total"), per_token = ms.number("per_token");
      total && per_token && line.figures.contains("compression")) {
    const double answering = *per_token * double(line.output - 1);
    line.figures.emplace("answering", answering);
    line.figures.emplace("reading", std::max(0.0, *total - answering - line.figures.at("compression")));
  }
  add_sum(line.figures, "first_token", ms.number("first_token"));
  add_sum(line.figures, "per_token", ms.number("per_token"));
  add_sum(line.figures, "total", ms.number("total"));
  add_sum(line.figures, "throughput", fields.number("throughput"));
  add_sum(line.figures, "cache", bytes.number("after"));
  add_sum(line.figures, "peak", bytes.number("peak"));
  add_sum(line.figures, "gpu", bytes.number("gpu"));
  return line;
}

SpeedSample speed_sample(const Json& line) {
  try {
    const Json &ms = line.at("ms"), &bytes = line.at("bytes");
    return {.kept_tokens = line.at("kept_tokens"),
            .prefill_ms = ms.at("prefill"),
            .observe_ms = ms.at("observe"),
            .select_ms = ms.at("select"),
            .move_ms = ms.at("move"),
            .first_token_ms = ms.at("first_token"),
            .per_token_ms = ms.at("per_token"),
            .total_ms = ms.at("total"),
            .bytes_before = bytes.at("before"),
            .bytes_after = bytes.at("after"),
            .bytes_peak = bytes.at("peak"),
            .bytes_gpu = bytes.value("gpu", std::uint64_t(0))};
  } catch (const Json::exception& error) {
    throw Error(fmt::format("a line of speed results lacks a value: {}", error.what()));
  }
}

}  // namespace chunkkv::results
