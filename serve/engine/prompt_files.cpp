#include "serve/engine/prompt_files.h"

#include "serve/engine/kv_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <filesystem>
#include <string_view>
#include <utility>

namespace chunkkv::serve {
namespace {

namespace fs = std::filesystem;

/// Most prompts that wait to be written: what they hold is host memory, too.
constexpr std::size_t kLongestQueue = 4;
/// Most files of unnamed prompts that left host memory, and how the names of these begin.
constexpr std::size_t kMostAutomatic = 64;
constexpr std::string_view kAutomatic = "prompt-";

/// Whether `PromptFiles::name_for` made the name: users' names may begin in the same way.
bool is_automatic(std::string_view name) {
  return name.starts_with(kAutomatic) && name.size() == kAutomatic.size() + 16 &&
         name.find_first_not_of("0123456789abcdef", kAutomatic.size()) == std::string_view::npos;
}

}  // namespace

PromptFiles::PromptFiles(std::string folder, CacheFileInfo info, CacheFormat format, Report report)
    : folder_(std::move(folder)),
      info_(std::move(info)),
      format_(std::move(format)),
      report_(std::move(report)) {
  if (folder_.empty()) return;
  std::error_code failed;
  if (!fs::is_directory(folder_, failed))
    throw UsageError(fmt::format("--slot-save-path '{}' is no folder; make it first", folder_));
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, failed)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name.front() != '.' && is_cache_file(entry.path().string()))
      look_for(name);
  }
  writer_ = std::thread([this] { write_all(); });
}

PromptFiles::~PromptFiles() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  wake_.notify_all();
  if (writer_.joinable()) writer_.join();
}

std::string PromptFiles::path(const std::string& name) const {
  if (!enabled()) throw UsageError("this server saves no prompts; start it with --slot-save-path FOLDER");
  require_plain_name(name);
  return (fs::path(folder_) / name).string();
}

std::shared_ptr<const std::vector<PromptFiles::Entry>> PromptFiles::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

void PromptFiles::index(const std::string& name, const HostCopy* copy) {
  const std::lock_guard lock(mutex_);
  auto entries = std::make_shared<std::vector<Entry>>(*entries_);
  std::erase_if(*entries, [&](const Entry& entry) { return entry.name == name; });
  if (copy != nullptr)
    entries->push_back(
        {name, copy->key, copy->snapshot.tokens, copy->snapshot.n_entries, copy->n_compressed_tokens()});
  entries_ = std::move(entries);
}

void PromptFiles::look_for(const std::string& name) {
  const auto known = entries();
  if (std::ranges::find(*known, name, &Entry::name) != known->end()) return;
  try {
    const HostCopy copy = load(name);
    index(name, &copy);
  } catch (const Error&) {
    return;  // none, of another model, or damaged (`load` by its name says which): the prompt is read anew
  }
}

std::uint64_t PromptFiles::save(const std::string& name, const HostCopy& copy) {
  const std::string file = path(name);
  CacheFileInfo info = info_;
  info.created = std::time(nullptr);
  const KeyParts key = parts_of_key(copy.key);
  info.method = key.method;
  info.keep = key.keep;
  info.observer = "window";
  info.n_compressions = copy.is_whole() ? 0 : 1;
  info.n_protected = copy.n_protected;
  info.end = CacheEnd::text;
  save_cache_file(file, info, copy.snapshot);
  index(name, &copy);
  if (is_automatic(name)) remove_old();
  return fs::file_size(file);
}

void PromptFiles::remove_old() const {
  std::vector<std::pair<fs::file_time_type, fs::path>> found;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, failed))
    if (is_automatic(entry.path().filename().string()))
      found.emplace_back(entry.last_write_time(failed), entry.path());
  std::sort(found.begin(), found.end());
  for (std::size_t i = 0; i + kMostAutomatic < found.size(); ++i) fs::remove(found[i].second, failed);
}

void PromptFiles::save_later(HostCopy copy) {
  if (copy.name.empty()) copy.name = name_for(copy);
  path(copy.name);
  std::string dropped;
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() >= kLongestQueue) {
      dropped = std::move(jobs_.front().name);
      jobs_.pop_front();
    }
    jobs_.push_back(std::move(copy));
  }
  wake_.notify_all();
  if (!dropped.empty()) report(dropped, "the folder is too slow for as many prompts");
}

void PromptFiles::write_all() {
  while (true) {
    HostCopy copy;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stops_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      copy = std::move(jobs_.front());
      jobs_.pop_front();
    }
    try {
      save(copy.name, copy);
    } catch (const std::exception& error) {  // without a file the prompt is read anew
      report(copy.name, error.what());
    }
  }
}

void PromptFiles::report(const std::string& name, std::string_view why) const {
  if (report_) report_(fmt::format("the prompt '{}' is not saved: {}", name, why));
}

HostCopy PromptFiles::load(const std::string& name) const {
  const std::string file = path(name);
  if (!fs::exists(file)) throw UsageError(fmt::format("there is no saved prompt '{}'", name));
  CacheFile read = load_cache_file(file);
  require_format(read.info, file, format_);
  HostCopy copy{.snapshot = std::move(read.snapshot),
                .key = "full",
                .name = name,
                .n_protected = read.info.n_protected};
  if (!copy.is_whole() && !read.info.keep.empty()) copy.key = key_of(read.info.method, read.info.keep);
  return copy;
}

std::string PromptFiles::name_for(const HostCopy& copy) {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  const auto add = [&](std::uint32_t value) {
    for (int i = 0; i < 4; ++i) hash = (hash ^ ((value >> (8 * i)) & 0xFFU)) * 1099511628211U;
  };
  for (const Token token : copy.snapshot.tokens) add(std::uint32_t(token));
  for (const char c : copy.key) add(std::uint32_t(static_cast<unsigned char>(c)));
  return fmt::format("{}{:016x}", kAutomatic, hash);
}

}  // namespace chunkkv::serve
