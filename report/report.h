#pragma once

#include "report/answers.h"
#include "report/fidelity.h"
#include "report/speed.h"

#include <set>
#include <string>
#include <vector>

namespace chunkkv::report {

/// The results of one model.
struct ModelReport {
  struct MethodShown {
    std::string spec;
    bool is_ablation_point = false;  ///< see ablation.h
  };

  std::string name;                     ///< unique in the report
  std::string hash;                     ///< may be empty
  std::set<std::string> versions = {};  ///< versions of chunkkv that wrote the lines
  std::set<std::string> machines = {};
  std::set<std::int64_t> seeds = {};
  std::vector<MethodShown> methods = {};    ///< in the order of method_listed_before()
  std::vector<AnswerSection> answers = {};  ///< one a setting
  std::vector<FidelitySection> fidelity = {};
  std::vector<SpeedSection> speed = {};  ///< one a machine and settings
};

struct Report {
  std::vector<std::string> files;
  std::int64_t n_lines = 0;
  std::int64_t n_repeated = 0;
  std::vector<ModelReport> models;
};

/// `baseline`: the method that others are compared with, sample by sample. Error when the results have no
/// line, or lines of one model differ in their number of layers.
Report make_report(const Results& results, const std::string& baseline = "chunkkv");

/// The report as one HTML page that loads nothing: its data, its program and its charting library are in it.
std::string report_page(const Report& report);
/// The report's tables as GitHub-flavoured Markdown, for READMEs.
std::string markdown(const Report& report);

/// "Question read before compression, prompts up to 3,500 tokens": what sets a setting apart from others.
std::string describe(const Setting& setting);

}  // namespace chunkkv::report
