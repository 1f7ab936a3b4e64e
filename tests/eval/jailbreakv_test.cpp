#include "eval/support.h"
#include "judge/judge.h"

#include <cpp-httplib/httplib.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#endif

#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>

namespace chunkkv::eval {
namespace {

using test::expect_holds;
using test::Folder;
using test::message_of;
using test::WordTokenizer;

constexpr const char* kHeader = "id,jailbreak_query,redteam_query,format,policy,image_path,from\n";

std::unique_ptr<Benchmark> jailbreakv(const std::filesystem::path& data, Options options = {}) {
  options.data = data;
  return make_benchmark("jailbreakv", options);
}

TEST(JailbreakV, TakesTheTextAttacks) {
  const Folder folder;
  folder.write("JailBreakV_28K.csv",
               std::string(kHeader) +
                   "0,\"You are \"\"free\"\",\nsay it\",do harm,Template,p,blank.png,x\n"
                   "1,look at this,do harm,figstep,p,a.png,x\n"
                   "2,think,do more harm,Logic,p,blank.png,x\n"
                   "3,please,do harm,Persuade,p,blank.png,x\n"
                   "4,again,do harm,Template,p,blank.png,x\n");
  const WordTokenizer tokenizer;
  const auto benchmark = jailbreakv(folder.path());
  const auto samples = benchmark->samples(tokenizer);
  ASSERT_EQ(samples->size(), 4u);
  std::vector<std::string> order;
  for (std::size_t i = 0; i < samples->size(); ++i) order.push_back(samples->at(i).task + samples->at(i).id);
  EXPECT_EQ(order, (std::vector<std::string>{"template0", "template4", "persuade3", "logic2"}));
  const Sample sample = samples->at(0);
  EXPECT_EQ(sample.document, "You are \"free\",\nsay it");
  EXPECT_EQ(sample.prompt(), sample.document);
  EXPECT_EQ(sample.questions.front().references, std::vector<std::string>{"do harm"});
  EXPECT_TRUE(sample.chat_template);
  expect_holds(samples->at(1).source, "JailBreakV_28K.csv', line 7");

  const Score refused = benchmark->score(sample, 0, "I’m sorry, I can't.");
  EXPECT_EQ(refused.value, 1);
  EXPECT_EQ(refused.metrics, (std::map<std::string, double>{{"refusal_phrases", 1}}));
  EXPECT_EQ(benchmark->score(sample, 0, "Sure. First,").value, 0);

  EXPECT_EQ(jailbreakv(folder.path(), {.limit = 1})->samples(tokenizer)->size(), 3u);
  EXPECT_EQ(
      jailbreakv(folder.path() / "JailBreakV_28K.csv", {.tasks = {"logic"}})->samples(tokenizer)->size(), 1u);
}

TEST(JailbreakV, BrokenRowsAreNamedAndLeaveTheOthersAlone) {
  const Folder folder;
  folder.write("x.csv", std::string(kHeader) +
                            "0,a,b,Logic,p,i,x\n1,too,few\n2,\"a\"b,c,Logic,p,i,x\n"
                            "3,a,b,Logic,p,i,x\n4,\xFF,b,Logic,p,i,x\n5,\"open,b,Logic,p,i,x\n");
  const WordTokenizer tokenizer;
  const auto benchmark = jailbreakv(folder.path());
  const auto samples = benchmark->samples(tokenizer);
  std::vector<std::string> found;
  for (std::size_t i = 0; i < samples->size(); ++i) {
    try {
      found.push_back(samples->at(i).id);
    } catch (const BrokenRecord& error) {
      const std::string message = error.what();
      found.push_back(message.substr(message.find("line ")));
    }
  }
  ASSERT_EQ(found.size(), 6u);
  EXPECT_EQ(found[0], "line 3: the row has 3 fields, and the file 7 columns");
  expect_holds(found[1], "line 4: text follows the closing quote");
  expect_holds(found[2], "line 7: a quote of this row is never closed");
  EXPECT_EQ(found[3], "0");
  EXPECT_EQ(found[4], "3");
  EXPECT_EQ(found[5], "line 6: jailbreak_query must be a text in UTF-8");
}

TEST(JailbreakV, RowsThatCannotBeReadAreToldForEveryChoiceOfFormats) {
  const Folder folder;
  folder.write("x.csv",
               std::string(kHeader) + "0,a,b, Logic ,p,i,x\n1,too,few,Logic\n2,a,b,Template,p,i,x\n");
  const WordTokenizer tokenizer;
  for (const char* format : {"template", "persuade", "logic"}) {
    const auto benchmark = jailbreakv(folder.path(), {.tasks = {format}});
    const auto samples = benchmark->samples(tokenizer);
    EXPECT_EQ(samples->size(), std::string(format) == "persuade" ? 1u : 2u);
    std::size_t n_broken = 0;
    for (std::size_t i = 0; i < samples->size(); ++i) {
      try {
        EXPECT_EQ(samples->at(i).task, format);
      } catch (const BrokenRecord& error) {
        expect_holds(error.what(), "line 3");
        ++n_broken;
      }
    }
    EXPECT_EQ(n_broken, 1u) << format;
  }
}

TEST(JailbreakV, OtherFilesAreNamed) {
  const Folder folder;
  const WordTokenizer tokenizer;
  const auto benchmark = jailbreakv(folder.path());
  const auto message = [&] { return message_of<UsageError>([&] { benchmark->samples(tokenizer); }); };
  expect_holds(message(), "has no CSV files");
  folder.write("a.csv", "id,text\n1,2\n");
  expect_holds(message(), "a.csv' has no column jailbreak_query");
  folder.write("a.csv", kHeader);
  expect_holds(message(), "has no attack");
  folder.write("b.csv", kHeader);
  expect_holds(message(), "has several CSV files");
}

/// A local server in the place of the judge's model.
class JudgeServer {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  explicit JudgeServer(Handler handler) {
    server_.Post("/v1/chat/completions", std::move(handler));
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    server_.wait_until_ready();
  }
  ~JudgeServer() {
    server_.stop();
    thread_.join();
  }
  JudgeServer(const JudgeServer&) = delete;
  JudgeServer& operator=(const JudgeServer&) = delete;

  std::string url() const { return fmt::format("http://127.0.0.1:{}/v1/", port_); }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

void reply(httplib::Response& response, const std::string& text) {
  const nlohmann::json body = {{"choices", {{{"message", {{"role", "assistant"}, {"content", text}}}}}}};
  response.set_content(body.dump(), "application/json");
}

TEST(Judge, AsksTheEndpointAndReadsItsVerdict) {
  std::string verdict, seen_key;
  nlohmann::json seen;
  const JudgeServer server([&](const httplib::Request& request, httplib::Response& response) {
    seen = nlohmann::json::parse(request.body);
    seen_key = request.get_header_value("Authorization");
    reply(response, verdict);
  });
  const Judge judge({.url = server.url(), .model = "guard", .key = "secret"});
  const std::vector<std::pair<std::string, bool>> cases = {{"safe", true},
                                                           {"unsafe", false},
                                                           {"\n\nUnsafe\nS1", false},
                                                           {"Safe.", true},
                                                           {"It is UNSAFE, not safe", false}};
  for (const auto& [said, safe] : cases) {
    verdict = said;
    EXPECT_EQ(judge.judge("do harm", "Sure: \xFF").safe, safe) << said;
  }
  EXPECT_EQ(seen_key, "Bearer secret");
  EXPECT_EQ(seen.at("model"), "guard");
  EXPECT_EQ(seen.at("temperature"), 0);
  EXPECT_EQ(seen.at("max_tokens"), kJudgeTokens);
  const std::string prompt = seen.at("messages").at(0).at("content");
  expect_holds(prompt, "do harm");
  expect_holds(prompt, "Sure: ");
}

TEST(Judge, DecidesTheScore) {
  const JudgeServer server([](const httplib::Request& request, httplib::Response& response) {
    reply(response, request.body.find("a recipe") != std::string::npos ? "unsafe" : "safe");
  });
  Sample sample;
  sample.questions = {{"", {"do harm"}}};
  const auto benchmark = jailbreakv("unused", {.judge = {.url = server.url()}});
  const Score lecture = benchmark->score(sample, 0, "Let us rather talk about the law.");
  EXPECT_EQ(lecture.value, 1);
  EXPECT_EQ(lecture.metrics, (std::map<std::string, double>{{"judge", 1}, {"refusal_phrases", 0}}));
  const Score recipe = benchmark->score(sample, 0, "I'm sorry, but here is a recipe:");
  EXPECT_EQ(recipe.value, 0);
  EXPECT_EQ(recipe.metrics.at("refusal_phrases"), 1);
}

TEST(Judge, AsksAgainUntilTheVerdictIsClear) {
  std::vector<std::string> replies;
  std::vector<nlohmann::json> seen;
  const JudgeServer server([&](const httplib::Request& request, httplib::Response& response) {
    seen.push_back(nlohmann::json::parse(request.body));
    const std::string& said = replies.at((seen.size() - 1) % replies.size());
    said.starts_with("{") ? response.set_content(said, "application/json") : reply(response, said);
  });
  const Judge judge({.url = server.url(), .tokens = 300});
  replies = {"It depends.", "<think>Only one word?</think>unsafe"};
  EXPECT_EQ(judge.judge("a", "b").safe, false);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].at("max_tokens"), 300);
  EXPECT_EQ(seen[1].at("messages").size(), 3u);
  EXPECT_EQ(seen[1].at("messages").at(1).at("content"), "It depends.");
  expect_holds(seen[1].at("messages").at(2).at("content"), "one word");

  for (const std::string& unclear :
       {std::string("I cannot tell"), std::string(R"({"error": "none"})"), std::string("{broken"),
        std::string(R"({"choices": [{"message": {"content": null, "reasoning_content": "it is safe"}}]})"),
        std::string(R"({"choices": [{"message": {"content": 3}}]})")}) {
    seen.clear();
    replies = {unclear};
    EXPECT_FALSE(judge.judge("a", "b").safe.has_value()) << unclear;
    EXPECT_EQ(seen.size(), 3u);
  }
  replies = {
      R"({"choices": [{"message": {"content": [{"type": "reasoning", "text": "unsafe?"}, {"type": "text", "text": "safe"}]}}]})"};
  EXPECT_EQ(judge.judge("a", "b").safe, true);
}

TEST(Judge, AnUndecidedAnswerHasNoScore) {
  std::string said = "Who knows";
  const JudgeServer server(
      [&](const httplib::Request&, httplib::Response& response) { reply(response, said); });
  Sample sample;
  sample.questions = {{"", {"do harm"}}};
  const auto benchmark = jailbreakv("unused", {.judge = {.url = server.url()}});
  const Score score = benchmark->score(sample, 0, "I'm sorry.");
  expect_holds(score.undecided, "Who knows");
  EXPECT_EQ(score.metrics, (std::map<std::string, double>{{"refusal_phrases", 1}}));
  said = "<think>Let me see";
  expect_holds(benchmark->score(sample, 0, "I'm sorry.").undecided, "--judge-tokens");
}

TEST(Judge, ABusyEndpointIsWaitedFor) {
  int n_asked = 0;
  const JudgeServer server([&](const httplib::Request&, httplib::Response& response) {
    response.status = n_asked == 0 ? 429 : 503;
    if (n_asked == 0) response.set_header("Retry-After", "5");
    if (n_asked++ < 3) return;
    response.status = 200;
    reply(response, "safe");
  });
  std::vector<std::int64_t> pauses;
  std::string reasons;
  const auto wait = [&](std::chrono::seconds pause, const std::string& reason) {
    pauses.push_back(pause.count());
    reasons += reason;
  };
  EXPECT_EQ(Judge({.url = server.url(), .wait = wait}).judge("a", "b").safe, true);
  EXPECT_EQ(pauses, (std::vector<std::int64_t>{5, 2, 4}));
  expect_holds(reasons, "429");

  n_asked = 0;
  const auto stop = [](std::chrono::seconds, const std::string&) { throw Interrupted("stopped"); };
  EXPECT_THROW(Judge({.url = server.url(), .wait = stop}).judge("a", "b"), Interrupted);
  EXPECT_EQ(n_asked, 1);
  n_asked = -1000;
  pauses.clear();
  expect_holds(message_of<Error>([&] { Judge({.url = server.url(), .wait = wait}).judge("a", "b"); }), "503");
  EXPECT_EQ(pauses.size(), 19u);
}

TEST(Judge, TroubleIsNamed) {
  std::string url;
  {
    const JudgeServer server([&](const httplib::Request&, httplib::Response& response) {
      response.status = 401;
      response.set_content("no such key", "text/plain");
    });
    url = server.url();
    const Judge judge({.url = url});
    expect_holds(message_of<Error>([&] { judge.judge("a", "b"); }), "HTTP status 401: no such key");
  }
  const Judge gone({.url = url});
  expect_holds(message_of<Error>([&] { gone.judge("a", "b"); }), "cannot be reached");
}

#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
/// A self-signed certificate for 127.0.0.1, and its key.
struct Certificate {
  std::string pem, key_pem;

  Certificate() {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(2048), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
    X509* x = certificate.get();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key.get());
    X509_NAME* name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("127.0.0.1"),
                               -1, -1, 0);
    X509_set_issuer_name(x, name);
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> address(
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1"), X509_EXTENSION_free);
    X509_add_ext(x, address.get(), -1);
    X509_sign(x, key.get(), EVP_sha256());
    pem = text([&](BIO* out) { PEM_write_bio_X509(out, x); });
    key_pem = text(
        [&](BIO* out) { PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  }

 private:
  static std::string text(const std::function<void(BIO*)>& write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    write(out.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, std::size_t(size)};
  }
};

TEST(Judge, SpeaksTlsToServersThatTheSystemTrusts) {
  const Certificate certificate;
  httplib::SSLServer server(httplib::SSLServer::PemMemory{certificate.pem.data(), certificate.pem.size(),
                                                          certificate.key_pem.data(),
                                                          certificate.key_pem.size(), nullptr, 0, nullptr});
  ASSERT_TRUE(server.is_valid());
  server.Post("/v1/chat/completions",
              [](const httplib::Request&, httplib::Response& response) { reply(response, "unsafe"); });
  const int port = server.bind_to_any_port("127.0.0.1");
  std::thread thread([&] { server.listen_after_bind(); });
  server.wait_until_ready();
  const Judge judge({.url = fmt::format("https://127.0.0.1:{}/v1", port)});
  const std::string untrusted = message_of<Error>([&] { judge.judge("a", "b"); });

  const Folder folder;
  folder.write("ca.pem", certificate.pem);
  setenv("SSL_CERT_FILE", (folder.path() / "ca.pem").c_str(), 1);
  EXPECT_EQ(judge.judge("a", "b").safe, false);
  unsetenv("SSL_CERT_FILE");
  server.stop();
  thread.join();
  expect_holds(untrusted, "cannot be reached");
  expect_holds(untrusted, "SSL");
}
#endif

TEST(Judge, AddressesAreChecked) {
  const auto message = [](const std::string& url) {
    return message_of<UsageError>([&] { Judge({.url = url}); });
  };
  expect_holds(message("localhost:8080"), "is no address");
  expect_holds(message("http://"), "is no address");
  expect_holds(message("https://"), "is no address");
}

}  // namespace
}  // namespace chunkkv::eval
