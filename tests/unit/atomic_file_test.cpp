#include "base/atomic_file.h"

#include <chunkkv/error.h>

#include "expect_throw.h"
#include "temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace chunkkv::test {
namespace {

namespace fs = std::filesystem;

void write(const std::string& path, std::string_view text) {
  AtomicFile(path).commit(text);
}

unsigned mode(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

TEST(AtomicFile, SymbolicLinksAreFollowed) {
  const TemporaryFolder folder;
  fs::create_directory(folder.file("far"));
  put(folder.file("far/real"), "old");
  fs::create_symlink("real", folder.file("far/near"));            // relative to its own folder
  fs::create_symlink(folder.file("far/near"), folder.file("a"));  // a chain
  write(folder.file("a"), "new");
  EXPECT_EQ(content(folder.file("far/real")), "new");
  EXPECT_TRUE(fs::is_symlink(folder.file("a")));
  EXPECT_TRUE(fs::is_symlink(folder.file("far/near")));

  fs::create_symlink("far/made", folder.file("b"));  // leads to no file yet
  write(folder.file("b"), "made");
  EXPECT_EQ(content(folder.file("far/made")), "made");
  EXPECT_TRUE(fs::is_symlink(folder.file("b")));

  fs::create_symlink("d", folder.file("c"));
  fs::create_symlink("c", folder.file("d"));
  expect_mentions(message_of<Error>([&] { write(folder.file("c"), "x"); }), {"circle"});
}

TEST(AtomicFile, PermissionsAreKept) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  for (const unsigned bits : {0600u, 0664u, 0755u, 0640u}) {
    put(path, "old");
    chmod(path.c_str(), bits);
    fs::create_symlink(path, folder.file("link"));
    write(folder.file("link"), "new");
    EXPECT_EQ(mode(path), bits);
    EXPECT_EQ(content(path), "new");
    fs::remove(folder.file("link"));
  }
  const mode_t before = umask(027);
  write(folder.file("fresh"), "x");
  umask(before);
  EXPECT_EQ(mode(folder.file("fresh")), 0640u);
}

TEST(AtomicFile, AProtectedFileStays) {
  if (geteuid() == 0) GTEST_SKIP() << "nothing is protected from root";
  const TemporaryFolder folder;
  put(folder.file("a"), "old");
  chmod(folder.file("a").c_str(), 0444);
  EXPECT_THROW(write(folder.file("a"), "new"), Error);
  EXPECT_EQ(content(folder.file("a")), "old");
}

TEST(AtomicFile, NamesMayBeAsLongAsTheSystemAllows) {
  const TemporaryFolder folder;
  std::string cjk;
  for (int i = 0; i < 85; ++i) cjk += "\xe7\x81\xaf";  // three bytes each
  for (const std::string& name : {std::string(255, 'n'), cjk}) {
    write(folder.file(name), "old");
    write(folder.file(name), "new");
    EXPECT_EQ(content(folder.file(name)), "new");
  }
  EXPECT_EQ(folder.n_files(), 2u);
  expect_mentions(message_of<Error>([&] { write(folder.file(std::string(256, 'n')), "x"); }),
                  {"cannot write"});
  EXPECT_EQ(folder.n_files(), 2u);
}

TEST(AtomicFile, WhatIsNoFileIsRefused) {
  const TemporaryFolder folder;
  for (const std::string& path : {folder.file(""), std::string(), std::string("/dev/null")})
    EXPECT_THROW(write(path, "x"), UsageError) << path;
  EXPECT_THROW(write(folder.file("none/a"), "x"), Error);
  EXPECT_EQ(folder.n_files(), 0u);
}

TEST(AtomicFile, SeveralAreWrittenAtATime) {
  const TemporaryFolder folder;
  AtomicFile a(folder.file("a")), again(folder.file("a")), b(folder.file("b"));
  b.commit("b");
  a.commit("first");
  again.commit("second");
  EXPECT_EQ(content(folder.file("a")), "second");
  EXPECT_EQ(folder.n_files(), 2u);
}

}  // namespace
}  // namespace chunkkv::test
