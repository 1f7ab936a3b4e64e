#include "cli/commands/saved_cache.h"

#include "cli/show/cache_parts.h"
#include "cli/show/units.h"
#include "cli/terminal/engine_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <ctime>
#include <filesystem>
#include <utility>
#include <vector>

namespace chunkkv::cli {
namespace {

std::string time_text(std::int64_t seconds) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time_t(seconds)));
}

/// Names for programs and for people, by CacheEnd.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kEnds = {{
    {"text", "plain text"},
    {"user", "an open message of the user"},
    {"answer", "an answer of the model"},
}};

}  // namespace

CacheFileInfo new_info(const Session& session, const CacheFormat& format) {
  CacheFileInfo info;
  info.chunkkv_version = CHUNKKV_VERSION;
  info.engine_version = engine_version();
  info.engine_format = format.engine_format;
  info.created = std::time(nullptr);
  info.model = format.model;
  info.parts = session.cache_parts();
  info.model_name = std::filesystem::path(session.model().info().path).filename().string();
  info.type_k = format.type_k;
  info.type_v = format.type_v;
  info.flash_attention = format.flash_attention;
  return info;
}

SessionOptions options_for(const CacheFileInfo& info, const ModelArguments& arguments) {
  ModelArguments wanted = arguments;
  if (wanted.type_k.empty()) wanted.type_k = info.type_k;
  if (wanted.type_v.empty()) wanted.type_v = info.type_v;
  return session_options(wanted);
}

std::string description(const std::string& path, const CacheFile& file) {
  const CacheFileInfo& info = file.info;
  const Snapshot& s = file.snapshot;
  const std::size_t n_prompt = s.tokens.size() + info.rest.size();
  std::vector<std::pair<std::string, std::string>> rows = {
      {"file", fmt::format("{}, {}, of them {} beside the rows", path, mebibytes(file.bytes),
                           mebibytes(file.overhead_bytes))},
      {"format", fmt::format("{}, by chunkkv {} (llama.cpp {}), {}", kCacheFileFormat, info.chunkkv_version,
                             info.engine_version, time_text(info.created))},
      {"checksum", "good"},
      {"model",
       fmt::format("{} ({}, {} layers, {} KV heads), hash {}", info.model_name, info.model.architecture,
                   info.model.n_layer, info.model.n_head_kv, info.model.hash)},
      {"cache", fmt::format("{} keys, {} values", info.type_k, info.type_v)},
      {"layers", describe(info.parts, info.model.n_layer)},
      {"prompt", fmt::format("{} tokens, ends in {}", n_prompt, kEnds.at(std::size_t(info.end)).second)},
  };
  if (info.is_source) {
    rows.emplace_back("source", fmt::format("{} tokens, {} more are read with each question; made for {}",
                                            s.n_entries, info.rest.size(), info.method));
  } else {
    rows.emplace_back("kept", fmt::format("{} tokens, {} asked for", s.n_entries, info.keep));
    rows.emplace_back("method", fmt::format("{}, compressed {} times, observed by {}", info.method,
                                            info.n_compressions, info.observer));
  }
  std::string text;
  for (const auto& [name, value] : rows)
    if (!value.empty()) text += fmt::format("{:<10}{}\n", name, value);
  return text;
}

nlohmann::ordered_json to_json(const std::string& path, const CacheFile& file) {
  const CacheFileInfo& info = file.info;
  return {{"file", path},
          {"format", kCacheFileFormat},
          {"bytes", file.bytes},
          {"overhead_bytes", file.overhead_bytes},
          {"chunkkv", info.chunkkv_version},
          {"llama_cpp", info.engine_version},
          {"created", time_text(info.created)},
          {"model",
           {{"name", info.model_name},
            {"architecture", info.model.architecture},
            {"layers", info.model.n_layer},
            {"kv_heads", info.model.n_head_kv},
            {"vocabulary", info.model.n_vocab},
            {"bytes", info.model.file_bytes},
            {"hash", info.model.hash}}},
          {"cache_parts", parts_json(info.parts, info.model.n_layer)},
          {"type_k", info.type_k},
          {"type_v", info.type_v},
          {"method", info.method},
          {"keep", info.keep},
          {"observer", info.observer},
          {"compressions", info.n_compressions},
          {"source", info.is_source},
          {"prompt_tokens", file.snapshot.tokens.size() + info.rest.size()},
          {"kept_tokens", file.snapshot.n_entries},
          {"unread_tokens", info.rest.size()},
          {"protected_tokens", info.n_protected},
          {"end", kEnds.at(std::size_t(info.end)).first}};
}

}  // namespace chunkkv::cli
