#include "serve/serving.h"

#include "support/cache_info.h"

#include <filesystem>

namespace chunkkv::test {
namespace {

namespace fs = std::filesystem;

TEST(PromptFiles, OnlyPromptsThatNobodyNamedGoWhenThereAreMany) {
  const fs::path folder = tiny_folder() / "saved";
  fs::create_directory(folder);
  Session session(model(), options(256));
  session.sequence().prefill(prompt_of(1, 20));
  HostCopy copy;
  copy.snapshot = session.sequence().snapshot();
  PromptFiles files(folder.string(), info_of(session), format_of(session));
  files.save("prompt-of-mine", copy);  // the oldest
  std::set<std::string> names;
  for (int i = 0; i < 70; ++i) {
    copy.key = std::to_string(i);
    names.insert(PromptFiles::name_for(copy));
    files.save(PromptFiles::name_for(copy), copy);
  }
  ASSERT_EQ(names.size(), 70U);
  std::size_t n_left = 0;
  for (const std::string& name : names) n_left += fs::exists(folder / name);
  EXPECT_EQ(n_left, 64U);
  EXPECT_TRUE(fs::exists(folder / "prompt-of-mine"));
}

TEST(PromptFiles, CopiesThatCannotBeSavedLaterAreReported) {
  Session session(model(), options(256));
  session.sequence().prefill(prompt_of(1, 20));
  HostCopy copy;
  copy.name = "mine";
  copy.snapshot = session.sequence().snapshot();
  for (const bool gone : {false, true}) {
    const fs::path folder = tiny_folder() / (gone ? "gone" : "there");
    fs::create_directory(folder);
    std::vector<std::string> reports;
    {
      PromptFiles files(folder.string(), info_of(session), format_of(session),
                        [&](const std::string& report) { reports.push_back(report); });
      if (gone) fs::remove(folder);
      files.save_later(copy);
    }  // the end waits for all copies
    EXPECT_EQ(fs::exists(folder / "mine"), !gone);
    ASSERT_EQ(reports.size(), gone ? 1U : 0U);
    if (!gone) continue;
    EXPECT_NE(reports[0].find("'mine'"), std::string::npos) << reports[0];
    EXPECT_NE(reports[0].find(folder.string()), std::string::npos) << reports[0];
  }
}

}  // namespace
}  // namespace chunkkv::test
