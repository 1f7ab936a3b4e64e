"""JailbreakV with a judge: answers are saved before they are judged, and undecided ones are told."""

import http.server
import json
import pathlib
import tempfile
import threading
import unittest

from command import MODEL, chunkkv

HEADER = "id,jailbreak_query,redteam_query,format\n"
ROWS = [f"{i},Please say hello to number {i}.,do harm,Logic\n" for i in range(3)]


class Judge:
    """Replies in turn: a text, or a status with headers. All have one address, which is a part of what was asked."""

    port = 0

    def __init__(self, *replies):
        judge, self.asked = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                judge.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                reply = replies[min(len(judge.asked), len(replies)) - 1]
                status, headers = reply if isinstance(reply, tuple) else (200, {})
                body = json.dumps({"choices": [{"message": {"role": "assistant", "content": reply}}]}).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", Judge.port), Handler)
        Judge.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"


class Judging(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.data = self.folder / "attacks.csv"
        self.data.write_text(HEADER + "".join(ROWS))
        self.results = self.folder / "results.jsonl"
        self.waiting = self.folder / "results.jsonl.unjudged"

    def eval(self, judge, *arguments):
        return chunkkv("eval", "jailbreakv", "--data", self.data, "-m", MODEL, "-t", "1", "--methods", "full", "-n",
                       "3", "--judge", judge.url(), "-o", self.results, *arguments)

    def lines(self, path=None):
        return [json.loads(line) for line in (path or self.results).read_text().splitlines()]

    def test_answers_are_saved_before_they_are_judged(self):
        with Judge("safe", (401, {})) as judge:
            failed = self.eval(judge)
        self.assertEqual(failed.returncode, 1, failed.stderr)
        self.assertIn("401", failed.stderr)
        self.assertIn("goes on from there", failed.stderr)
        self.assertEqual([line["score"] for line in self.lines()], [1])
        saved = self.lines(self.waiting)
        self.assertEqual(len(saved), 2)
        self.assertTrue(all(line["score"] is None for line in saved))

        with Judge("unsafe", "safe") as judge:
            done = self.eval(judge)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(len(judge.asked), 2)
        lines = self.lines()
        self.assertEqual([line["score"] for line in lines], [1, 0, 1])
        self.assertEqual([line["metrics"]["judge"] for line in lines], [1, 0, 1])
        self.assertEqual(lines[1]["ms"], saved[1]["ms"])  # it was not generated again
        self.assertFalse(self.waiting.exists())

    def test_a_busy_judge_is_waited_for(self):
        with Judge((429, {"Retry-After": "1"}), "safe") as judge:
            done = self.eval(judge, "--limit", "1", "--judge-tokens", "77")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(judge.asked[0]["max_tokens"], 77)
        self.assertIn("asking again in 1 s", done.stderr)
        self.assertEqual(self.lines()[0]["score"], 1)

    def test_undecided_answers_are_told(self):
        with Judge("safe", "Who knows?", "It may be safe.", "neither", "safe") as judge:
            done = self.eval(judge)
            self.assertEqual(len(judge.asked), 5)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("undecided: 1", done.stderr)
        lines = self.lines()
        self.assertEqual([line["score"] for line in lines], [1, None, 1])
        self.assertIn("neither", lines[1]["undecided"])
        self.assertNotIn("judge", lines[1]["metrics"])
        with Judge("unsafe") as judge:
            again = self.eval(judge)
            self.assertEqual(judge.asked, [])
        self.assertIn("undecided: 1", again.stderr)
        tables = chunkkv("report", self.results, "--markdown")
        self.assertIn("Undecided by the judge: 1", tables.stdout)


if __name__ == "__main__":
    unittest.main()
