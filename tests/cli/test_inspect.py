"""`chunkkv inspect`: kept indices, scores, similarity and the page."""

import json
import pathlib
import re
import signal
import tempfile
import unittest

from command import N_LAYERS, QUESTION, TEXT, inspect, inspect_json

PROMPT = ("-p", TEXT, "-q", QUESTION)
PER_HEAD = ("--method", "snapkv:window=8", "--keep", "40%")
SHARED = ("--method", "chunkkv:chunk=4,window=8,rule=exact", "--keep", "40%")


def jaccard(a, b):
    a, b = set(a), set(b)
    return len(a & b) / len(a | b)


class Json(unittest.TestCase):
    def test_lists_what_every_layer_keeps(self):
        for arguments, n_lists in ((PER_HEAD, 3), (SHARED, 1)):
            result = inspect_json(*PROMPT, *arguments)
            self.assertEqual([layer["layer"] for layer in result["layers"]], list(range(N_LAYERS)))
            self.assertEqual(result["method"], arguments[1])
            for layer in result["layers"]:
                self.assertEqual(len(layer["kept"]), n_lists)
                for kept in layer["kept"]:
                    self.assertEqual(kept, sorted(set(kept)))
                    self.assertEqual(len(kept), int(0.4 * result["tokens"]))
                    self.assertEqual(kept[-8:], list(range(result["tokens"] - 8, result["tokens"])))
                    self.assertGreaterEqual(kept[0], 0)

    def test_protects_what_run_protects(self):
        how = ("--method", "knorm", "--keep", "40%")
        for layer in inspect_json(*PROMPT, *how, "--protect", 60)["layers"]:
            for kept in layer["kept"]:
                self.assertEqual(kept[:60], list(range(60)))
        whole = inspect_json(*PROMPT, *how, "-sys", "You answer in verse.")
        plain = inspect_json(*PROMPT, *how, "-sys", "You answer in verse.", "--protect", 1)
        self.assertEqual(whole["layers"], plain["layers"])
        for layer in whole["layers"]:
            for kept in layer["kept"]:
                self.assertEqual(kept[:9], list(range(9)))  # the system message and what is around it

    def test_is_the_same_again(self):
        first = inspect(*PROMPT, *PER_HEAD, "--json", "--scores")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertEqual(inspect(*PROMPT, *PER_HEAD, "--json", "--scores").stdout, first.stdout)

    def test_similarity_is_that_of_the_lists(self):
        for arguments in (PER_HEAD, SHARED):
            result = inspect_json(*PROMPT, *arguments)
            layers = [layer["kept"] for layer in result["layers"]]
            matrix = result["similarity"]
            for a, row in zip(layers, matrix, strict=True):
                for b, value in zip(layers, row, strict=True):
                    expected = sum(map(jaccard, a, b)) / len(a)
                    self.assertAlmostEqual(value, expected, places=9)
            adjacent = [matrix[i][i + 1] for i in range(N_LAYERS - 1)]
            self.assertAlmostEqual(result["adjacent_similarity"], sum(adjacent) / (N_LAYERS - 1), places=9)

    def test_scores_explain_what_was_kept(self):
        result = inspect_json(*PROMPT, "--method", "knorm", "--keep", "25%", "--scores")
        for layer in result["layers"]:
            for scores, kept in zip(layer["scores"], layer["kept"], strict=True):
                best = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[: len(kept)]
                self.assertEqual(kept, sorted(best))

    def test_layers_that_reuse_have_no_scores(self):
        result = inspect_json(*PROMPT, "--method", SHARED[1] + ",reuse=3", "--keep", "40%", "--scores")
        for layer in result["layers"]:
            leader = result["layers"][layer["layer"] - layer["layer"] % 3]
            self.assertEqual(layer["kept"], leader["kept"])
            self.assertEqual(layer["scores"] is None, layer is not leader)

    def test_works_without_flash_attention(self):
        result = inspect_json(*PROMPT, *PER_HEAD, "-fa", "off", "-ctk", "f32", "-ctv", "f32")
        for layer in result["layers"]:
            self.assertEqual({len(kept) for kept in layer["kept"]}, {int(0.4 * result["tokens"])})

    def test_reads_token_ids(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "ids.json")
            path.write_text(json.dumps(list(range(100, 160))))
            result = inspect_json("--tokens-file", path, "--method", "keydiff", "--keep", 12)
        self.assertEqual(result["tokens"], 60)
        self.assertEqual({len(kept) for layer in result["layers"] for kept in layer["kept"]}, {12})


class Summary(unittest.TestCase):
    def test_tells_people_what_was_kept(self):
        result = inspect(*PROMPT, *SHARED)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"in each of {N_LAYERS} layers", result.stdout)
        self.assertIn("harbour master", result.stdout)


class Page(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.page = self.folder / "kept.html"

    def files(self):
        return [path.name for path in self.folder.iterdir()]

    def data(self):
        return json.loads(re.search(r'id="data">(.*?)</script>', self.page.read_text(), re.DOTALL).group(1))

    def test_holds_the_text_and_the_kept_sets(self):
        result = inspect_json(*PROMPT, *PER_HEAD, "--html", self.page)
        data = self.data()
        self.assertEqual(self.files(), ["kept.html"])
        self.assertIn(f"{TEXT}\n\n{QUESTION}", "".join(data["pieces"]))
        self.assertEqual(len(data["pieces"]), result["tokens"])
        for shown, layer in zip(data["layers"], result["layers"], strict=True):
            for runs, kept in zip(shown["heads"], layer["kept"], strict=True):
                entries, at = [], 0
                for skip, take in zip(runs[::2], runs[1::2], strict=True):
                    entries += range(at + skip, at + skip + take)
                    at += skip + take
                self.assertEqual(entries, kept)

    def test_loads_nothing_from_elsewhere(self):
        inspect(*PROMPT, *SHARED, "--html", self.page)
        self.assertIsNone(re.search(r"https?://|\bsrc=|@import|\burl\(", self.page.read_text()))

    def test_survives_any_text(self):
        text = "Grüße 数据 🏳️‍🌈 क्षि </script><script>alert(1)</script><!-- & \"quotes\" \\u0041 " + TEXT
        inspect("-p", text, *SHARED, "--html", self.page)
        page = self.page.read_text(encoding="utf-8")
        self.assertIn(text, "".join(self.data()["pieces"]))
        self.assertEqual(page.count("</script>"), 2)
        self.assertNotIn("<!--", page)

    def test_is_not_written_when_something_fails(self):
        self.page.write_text("older")
        result = inspect("-p", TEXT, "--method", "snapkv", "--keep", "10%", "--protect", 100, "--html", self.page)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(self.files(), ["kept.html"])
        self.assertEqual(self.page.read_text(), "older")

    def test_is_not_half_written_on_a_full_disk(self):
        import resource

        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        result = inspect(*PROMPT, *SHARED, "--html", self.page, preexec_fn=small_files)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write", result.stderr)
        self.assertEqual(self.files(), [])


if __name__ == "__main__":
    unittest.main()
