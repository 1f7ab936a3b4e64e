#include "tasks/longbench_tasks.h"

#include "scorers/scorers.h"

#include <algorithm>
#include <stdexcept>

namespace chunkkv::eval {
namespace {

template <double (*score)(std::string_view, std::string_view)>
double without_classes(std::string_view answer, std::string_view reference, std::span<const std::string>) {
  return score(answer, reference);
}

constexpr LongBenchMetric kF1 = without_classes<qa_f1>;
constexpr LongBenchMetric kRouge = without_classes<rouge_l>;
constexpr LongBenchMetric kClass = classification;
constexpr LongBenchMetric kNumber = without_classes<number_share>;
constexpr LongBenchMetric kParagraph = without_classes<paragraph_share>;
constexpr LongBenchMetric kCode = without_classes<code_similarity>;

constexpr const char* kSingle = "single-document QA";
constexpr const char* kMulti = "multi-document QA";
constexpr const char* kSummary = "summarisation";
constexpr const char* kFewShot = "few-shot";
constexpr const char* kSynthetic = "synthetic";
constexpr const char* kCodeGroup = "code";

constexpr const char* kStory =
    "Read this story; a question about it follows.\n\n{context}\n\nAnswer this question about the story in a "
    "few words, without explaining.\n\nQuestion: {input}\nAnswer:";
constexpr const char* kPaper =
    "Read this scientific article; a question about it follows.\n\n{context}\n\nAnswer this question about "
    "the article in a phrase or a sentence, without explaining. Answer \"yes\" or \"no\" where that is "
    "enough, and \"unanswerable\" where the article does not tell.\n\nQuestion: {input}\nAnswer:";
constexpr const char* kText =
    "Read this text; a question about it follows.\n\n{context}\n\nAnswer this question about the text. Give "
    "the answer alone.\n\nQuestion: {input}\nAnswer:";
constexpr const char* kPassages =
    "Read these passages; a question that needs several of them follows.\n\n{context}\n\nAnswer this "
    "question from the passages. Give the answer alone.\n\nQuestion: {input}\nAnswer:";
constexpr const char* kReport =
    "Read this government report.\n\n{context}\n\nWrite a summary of the report, about a page "
    "long.\n\nSummary:";
constexpr const char* kMeeting =
    "Read this transcript of a meeting; a question about it follows.\n\n{context}\n\nAnswer this question "
    "about the meeting in one or more sentences.\n\nQuestion: {input}\nAnswer:";
constexpr const char* kNews =
    "Read these news articles.\n\n{context}\n\nWrite one summary of all of them, about a page "
    "long.\n\nSummary:";
constexpr const char* kQuestionType =
    "Name the type of the last question, as in these examples.\n\n{context}\n{input}";
constexpr const char* kTrivia =
    "Answer the last question from its passage, as in these examples. Give the answer "
    "alone.\n\n{context}\n\n{input}";
constexpr const char* kDialogue =
    "Sum up the last dialogue in a few short sentences, as in these examples.\n\n{context}\n\n{input}";
constexpr const char* kCount =
    "Some of these paragraphs occur more than once.\n\n{context}\n\nHow many different paragraphs are there? "
    "Give the number alone.\n\nAnswer: ";
constexpr const char* kRetrieval =
    "Read these numbered paragraphs; a summary of one of them follows.\n\n{context}\n\nThis is the "
    "summary:\n\n{input}\n\nWhich paragraph does it sum up? Answer in the form \"Paragraph 1\".\n\nAnswer: ";
constexpr const char* kCodeFile = "Continue this code.\n{context}The next line:\n";
constexpr const char* kCodeFiles = "Continue this code.\n{context}{input}The next line:\n";

}  // namespace

std::span<const LongBenchTask> longbench_tasks() {
  static const std::vector<LongBenchTask> all = {
      {"narrativeqa", kSingle, kF1, 128, kStory, false, false, false},
      {"qasper", kSingle, kF1, 128, kPaper},
      {"multifieldqa_en", kSingle, kF1, 64, kText},
      {"hotpotqa", kMulti, kF1, 32, kPassages},
      {"2wikimqa", kMulti, kF1, 32, kPassages},
      {"musique", kMulti, kF1, 32, kPassages, false, false, false},
      {"gov_report", kSummary, kRouge, 512, kReport},
      {"qmsum", kSummary, kRouge, 512, kMeeting, false, false, false},
      {"multi_news", kSummary, kRouge, 512, kNews},
      {"trec", kFewShot, kClass, 64, kQuestionType, true, true},
      {"triviaqa", kFewShot, kF1, 32, kTrivia, true, true},
      {"samsum", kFewShot, kRouge, 128, kDialogue, true, true, true, {"\n"}},
      {"passage_count", kSynthetic, kNumber, 32, kCount},
      {"passage_retrieval_en", kSynthetic, kParagraph, 32, kRetrieval},
      {"lcc", kCodeGroup, kCode, 64, kCodeFile, true},
      {"repobench-p", kCodeGroup, kCode, 64, kCodeFiles, true},
  };
  return all;
}

const LongBenchTask& longbench_task(std::string_view name) {
  for (const LongBenchTask& task : longbench_tasks())
    if (task.name == name) return task;
  throw std::logic_error("no such LongBench task");
}

std::string_view first_line(std::string_view answer) {
  answer.remove_prefix(std::min(answer.find_first_not_of('\n'), answer.size()));
  return answer.substr(0, answer.find('\n'));
}

double longbench_score(const LongBenchTask& task, std::string_view answer,
                       std::span<const std::string> references, std::span<const std::string> classes) {
  if (task.one_line) answer = first_line(answer);
  double best = 0;
  for (const std::string& reference : references)
    best = std::max(best, task.metric(answer, reference, classes));
  return best;
}

}  // namespace chunkkv::eval
