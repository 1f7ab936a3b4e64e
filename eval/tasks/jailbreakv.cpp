#include "base/blanks.h"
#include "data/csv.h"
#include "data/files.h"
#include "judge/judge.h"
#include "scorers/scorers.h"
#include "tasks/list.h"
#include "tasks/sample_list.h"
#include "unicode.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <system_error>

namespace chunkkv::eval {
namespace {

namespace fs = std::filesystem;

using Fields = std::vector<std::string>;

/// The formats of text attacks; the data set's other formats need images.
constexpr std::array<const char*, 3> kFormats = {"template", "persuade", "logic"};

enum Column : std::uint8_t { id_column, attack_column, request_column, format_column };
constexpr std::array<const char*, 4> kColumnNames = {"id", "jailbreak_query", "redteam_query", "format"};

/// The places of the columns in a file. UsageError when one is missing.
class Header {
 public:
  Header(const Fields& names, const fs::path& file) : n_columns_(names.size()) {
    for (std::size_t c = 0; c < kColumnNames.size(); ++c) {
      const auto found = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
        return without_blanks(name) == kColumnNames[c];
      });
      if (found == names.end()) {
        throw UsageError(fmt::format("'{}' has no column {}; give JailbreakV's own CSV file with --data",
                                     file.string(), kColumnNames[c]));
      }
      at_[c] = std::size_t(found - names.begin());
    }
  }

  const std::string& get(const Fields& row, Column column, const std::string& source) const {
    if (row.size() != n_columns_) {
      throw BrokenRecord(
          fmt::format("{}: the row has {} fields, and the file {} columns", source, row.size(), n_columns_));
    }
    return row[at_[column]];
  }

 private:
  std::size_t n_columns_;
  std::array<std::size_t, kColumnNames.size()> at_{};
};

struct RowPlace {
  std::uint64_t offset;
  std::size_t line;
};

fs::path find_csv(const fs::path& data) {
  std::error_code error;
  if (fs::is_regular_file(data, error)) return data;
  const std::vector<fs::path> files = files_of(data, ".csv");
  if (files.size() != 1) {
    throw UsageError(fmt::format("'{}' has {} CSV files; name JailbreakV's file itself with --data",
                                 data.string(), files.empty() ? "no" : "several"));
  }
  return files.front();
}

/// Harmful requests in jailbreak prompts (arXiv 2404.03027): does the model still refuse after compression?
class JailbreakV final : public Benchmark {
 public:
  explicit JailbreakV(Options options) : options_(std::move(options)) {
    if (!options_.judge.url.empty()) judge_ = std::make_unique<Judge>(options_.judge);
  }

  std::unique_ptr<Samples> samples(const Tokenizer&) const override {
    const fs::path file = find_csv(options_.data);
    CsvReader reader(file);
    Fields fields;
    reader.next(fields);
    const Header header(fields, file);
    const std::vector<std::string> formats = chosen_formats();
    std::map<std::string, std::vector<RowPlace>> rows = find_rows(reader, header, file, formats.front());

    auto list = std::make_unique<SampleList>();
    for (const std::string& format : formats) {
      list->add(rows[format].size(), options_.limit,
                [header, file, format, rows = rows[format]](std::size_t i) {
                  return make_sample(header, file, format, rows[i]);
                });
    }
    if (list->size() == 0)
      throw UsageError(fmt::format("'{}' has no attack of these formats", file.string()));
    return list;
  }

  Score score(const Sample& sample, std::size_t question, std::string_view answer) const override {
    Score result{sounds_like_refusal(answer) ? 1.0 : 0.0, {}};
    result.metrics["refusal_phrases"] = result.value;
    if (judge_) {
      const Verdict verdict = judge_->judge(sample.questions.at(question).references.front(), answer);
      result.value = verdict.safe.value_or(false) ? 1 : 0;
      if (verdict.safe)
        result.metrics["judge"] = result.value;
      else
        result.undecided = verdict.reply.empty()
                               ? "the judge gave no verdict; one that thinks needs more --judge-tokens"
                               : fmt::format("the judge gave no clear verdict: {}", verdict.reply);
    }
    return result;
  }

 private:
  /// The formats to test, at least one.
  std::vector<std::string> chosen_formats() const {
    std::vector<std::string> formats(kFormats.begin(), kFormats.end());
    std::erase_if(formats, [&](const std::string& format) { return !options_.wants(format); });
    return formats;
  }

  /// The rows of the file, by format. A row that cannot be read may be of any format: it is listed under the
  /// format `unreadable`, and making its sample tells what is wrong.
  static std::map<std::string, std::vector<RowPlace>> find_rows(CsvReader& reader, const Header& header,
                                                                const fs::path& file,
                                                                const std::string& unreadable) {
    std::map<std::string, std::vector<RowPlace>> rows;
    Fields fields;
    while (true) {
      std::string format = unreadable;
      try {
        if (!reader.next(fields)) return rows;
        format = lower(without_blanks(header.get(fields, format_column, place(file, reader.line()))));
      } catch (const BrokenRecord&) {
        // thrown again when the sample is asked for, so that it can be skipped
      }
      rows[format].push_back({reader.offset(), reader.line()});
    }
  }

  static Sample make_sample(const Header& header, const fs::path& file, const std::string& format,
                            const RowPlace& row) {
    CsvReader reader(file);
    reader.seek(row.offset, row.line);
    Fields fields;
    reader.next(fields);

    Sample sample;
    sample.source = place(file, row.line);
    const auto get = [&](Column column) {
      const std::string& text = header.get(fields, column, sample.source);
      if (find_invalid_utf8(text) != text.npos || text.empty())
        throw BrokenRecord(
            fmt::format("{}: {} must be a text in UTF-8", sample.source, kColumnNames[column]));
      return text;
    };
    sample.id = get(id_column);
    sample.task = format;
    sample.group = "jailbreakv";
    sample.document = get(attack_column);
    sample.questions = {{"", {get(request_column)}}};
    sample.max_new_tokens = 256;
    return sample;
  }

  Options options_;
  std::unique_ptr<Judge> judge_;
};

}  // namespace

BenchmarkInfo jailbreakv_benchmark() {
  return {"jailbreakv",
          "JailbreakV's text attacks (arXiv 2404.03027): share of safe answers, by refusal phrases (a proxy) "
          "or a judge",
          "JailBreakV_28K.csv of JailbreakV-28K, or the file itself",
          {kFormats.begin(), kFormats.end()},
          [](const Options& options) { return std::make_unique<JailbreakV>(options); }};
}

}  // namespace chunkkv::eval
