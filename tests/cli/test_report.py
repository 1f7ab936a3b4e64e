"""`chunkkv report`: the page as a browser draws it, its data, Markdown, and bad input."""

import collections
import csv
import io
import json
import pathlib
import statistics
import tempfile
import unittest
import urllib.parse

from browser import Page
from command import chunkkv
from sample_results import ABLATION, KEEPS, LOSS, TASKS, Samples

WIDTHS = (1280, 420)

# What a canvas shows: how many of its pixels are painted, and how many different colours are among them.
PAINTED = """
(canvas => {
  const { width, height } = canvas, { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const counts = new Map();  // by colour, of opaque pixels
  for (const pixel of new Uint32Array(data.buffer))
    if (pixel >>> 24 > 200) counts.set(pixel & 0xffffff, (counts.get(pixel & 0xffffff) ?? 0) + 1);
  const painted = [...counts.values()].reduce((a, b) => a + b, 0) / (width * height);
  const name = bgr => "#" + [0, 8, 16].map(shift => (bgr >> shift & 255).toString(16).padStart(2, "0")).join("");
  const colours = [...counts].filter(([, n]) => n > 8).map(([bgr, n]) => [name(bgr), n]);
  const box = canvas.getBoundingClientRect();
  return { painted, width: box.width, height: box.height, colours: Object.fromEntries(colours) };
})
"""
PLOTS = (
    """
Object.fromEntries([...document.querySelectorAll("[data-plot]")].map(figure => {
  const canvas = figure.querySelector("canvas"), cells = [...figure.querySelectorAll(".heat tbody td")];
  const box = figure.getBoundingClientRect();
  return [figure.dataset.plot, {
    left: box.left, right: box.right,
    csv: figure.querySelector("a[download]")?.href,
    canvas: canvas && %s(canvas),
    cells: cells.length, shades: new Set(cells.map(cell => getComputedStyle(cell).backgroundColor)).size,
    smallest: Math.min(...cells.map(cell => cell.getBoundingClientRect().width)),
  }];
}))
"""
    % PAINTED
)
OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"
SETTLED = "new Promise(done => setTimeout(() => requestAnimationFrame(() => done()), 400))"


def painted(plot):
    """An expression: what the canvas of this plot shows."""
    return f"{PAINTED}(document.querySelector('[data-plot={plot}] canvas'))"


def rows_of(link):
    kind, text = link.split(",", 1)
    assert kind == "data:text/csv;charset=utf-8", kind
    return list(csv.DictReader(io.StringIO(urllib.parse.unquote(text))))


class Drawn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.samples = Samples().everything()
        other = Samples("medium-1.5b.gguf", "5eed0002", seed=2, quality=0.6)
        other.fidelity(2)
        results = [
            cls.samples.write(pathlib.Path(folder.name, "a.jsonl")),
            other.write(pathlib.Path(folder.name, "b.jsonl")),
        ]
        cls.page = pathlib.Path(folder.name, "report.html")
        result = chunkkv("report", *results, "-o", cls.page)
        assert result.returncode == 0, result.stderr
        assert sorted(pathlib.Path(folder.name).iterdir()) == [*results, cls.page]

    def test_every_plot_is_drawn_at_both_widths(self):
        for width in WIDTHS:
            with self.subTest(width=width), Page(self.page, width) as page:
                page.value(OPEN_ALL)
                page.value(SETTLED)
                plots = page.value(PLOTS)
                self.assertEqual(page.problems, [])
                self.assertEqual(
                    [url for url in page.requests if not url.startswith("data:")], [self.page.as_uri()]
                )
                self.assertLessEqual(page.value("document.documentElement.scrollWidth"), width)
                self.check_names(plots)
                for name, plot in plots.items():
                    with self.subTest(plot=name):
                        self.check_drawn(plot, width)
                        self.assertGreater(len(rows_of(plot["csv"])), 1)

    def check_names(self, plots):
        groups = [group.lower().replace(" ", "-") for group in TASKS]
        expected = (
            {f"longbench-{group}-by-share" for group in groups}
            | {f"longbench-e-{group}-by-tokens" for group in groups}
            | {
                "longbench-score-average-of-16-tasks-by-share",
                "longbench-difference-from-chunkkv",
                "jailbreakv-safe-rate-proxy-by-share",
                "several-questions-on-one-document-by-question-10",
                "chunk-chunkkv-longbench-score-average-of-16-tasks",
                "reuse-chunkkv-longbench-score-average-of-16-tasks",
                "chunk-chunkkv-fidelity-kl-divergence-nats",
                "reuse-chunkkv-speed-compression-8-192-tokens-in-4-096-out",
                "fidelity-kl-divergence-nats-by-share",
                "fidelity-top-1-agreement-by-share",
                "key-value-l1-loss-by-layer-10",
                "attention-cosine-similarity-by-layer-10",
                "layer-similarity-chunkkv-10",
                "layer-similarity-chunkkv-reuse-2-10",
                "needles-key-value-full-100",
                "needles-key-value-chunkkv-10",
                "speed-latency-10",
                "speed-throughput-tokens-s-10",
                "speed-cache-of-the-prompt-10",
                "speed-memory-used-on-the-gpu-10",
                "where-the-time-goes-4-096-1-024-10",
            }
        )
        self.assertEqual(expected - plots.keys(), set())

    def check_drawn(self, plot, width):
        self.assertGreaterEqual(plot["left"], 0)
        self.assertLessEqual(plot["right"], width)
        if plot["canvas"]:
            self.assertGreater(min(plot["canvas"]["width"], plot["canvas"]["height"]), 100)
            self.assertGreater(plot["canvas"]["painted"], 0.01)
            self.assertGreater(len(plot["canvas"]["colours"]), 2)
        else:
            self.assertEqual(plot["cells"], 7 * 10)
            self.assertGreaterEqual(plot["smallest"], 8)
            self.assertEqual(plot["shades"] > 1, any(row["score"] == "0" for row in rows_of(plot["csv"])))

    def test_the_data_of_a_plot_are_the_means_of_the_lines(self):
        with Page(self.page, 1280) as page:
            plots = page.value(PLOTS)
        scores = collections.defaultdict(list)
        for line in self.samples.lines:
            if line["benchmark"] in ("longbench", "niah"):
                place = (line["length"], line["depth"]) if line["benchmark"] == "niah" else None
                scores[line["task"], line["method"], line["keep"], place].append(line["score"])
        rows = rows_of(plots["longbench-few-shot-by-share"]["csv"])
        self.assertEqual(len(rows), 1 + len(KEEPS) * len(LOSS | ABLATION))
        for row in rows:
            tasks = [scores[task, row["method"], row["kept"], None] for task in TASKS["few-shot"]]
            self.assertAlmostEqual(
                float(row["value"]), statistics.mean(map(statistics.mean, tasks)), places=3
            )
            self.assertEqual(int(row["samples"]), 30)
            self.assertTrue(float(row["low"]) < float(row["value"]) < float(row["high"]))
        needles = rows_of(plots["needles-key-value-snapkv-10"]["csv"])
        self.assertEqual(len(needles), 70)
        for row in needles:
            place = (int(row["length"]), float(row["depth"]))
            self.assertEqual([float(row["score"])], scores["key-value", "snapkv", "10%", place])

    def test_a_line_of_every_method_until_it_is_switched_off(self):
        plot = painted("longbench-score-average-of-16-tasks-by-share") + ".colours"
        chip = "document.querySelector('[data-method=h2o]')"
        with Page(self.page, 1280) as page:
            colours = {spec: page.value(f"colourOf('{spec}')") for spec in LOSS}
            shown = page.value(plot)
            for spec, colour in colours.items():
                self.assertIn(colour, shown, spec)
            page.value(f"{chip}.focus()")
            page.press(" ")
            self.assertEqual(page.value(f"{chip}.getAttribute('aria-pressed')"), "false")
            self.assertNotIn(colours["h2o"], page.value(plot))
            self.assertNotIn("h2o", page.value("document.querySelector('#benchmark-1 .scores').innerText"))
            page.press(" ")
            self.assertIn(colours["h2o"], page.value(plot))
            self.assertEqual(page.problems, [])

    def test_works_from_the_keyboard(self):
        with Page(self.page, 1280) as page:
            reached = []
            for _ in range(8):
                page.press("Tab")
                reached.append(page.value("document.activeElement.tagName"))
            self.assertEqual(set(reached), {"A"})  # the table of contents comes first
            page.value("document.querySelector('.matrix').focus()")
            page.press("ArrowRight")
            page.press("ArrowDown")
            readout = "document.activeElement.parentElement.querySelector('.readout').textContent"
            self.assertEqual(page.value(readout), "layers 1 and 1: 1.00")

    def test_dark_and_light_have_readable_colours(self):
        contrast = """(() => {
          const parts = name => getComputedStyle(document.body)[name].match(/[0-9.]+/g).slice(0, 3).map(Number);
          const light = rgb => rgb.map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const [a, b] = [light(parts("color")), light(parts("backgroundColor"))];
          return { ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), page: b };
        })()"""
        for dark in (False, True):
            with Page(self.page, 420, dark=dark) as page:
                found = page.value(contrast)
                self.assertGreater(found["ratio"], 7)
                self.assertEqual(found["page"] < 0.1, dark)
                self.assertGreater(page.value(f"{PAINTED}(document.querySelector('canvas')).painted"), 0.01)

    def test_another_model_has_its_own_sections(self):
        titles = "[...document.querySelectorAll('main > section')].map(section => section.dataset.title)"
        with Page(self.page, 1280) as page:
            self.assertEqual(
                page.value(titles),
                [
                    "At a glance",
                    "LongBench",
                    "LongBench-E",
                    "Needle in a haystack",
                    "GSM8K, many-shot",
                    "Several questions on one document",
                    "JailbreakV",
                    "Chunk length",
                    "Reuse of a choice",
                    "Fidelity to the full cache",
                    "Similarity of layers",
                    "Speed and memory",
                ],
            )
            choose = "select => { select.value = 1; select.dispatchEvent(new Event('change')); }"
            page.value(f"({choose})(document.querySelector('#model'))")
            self.assertEqual(
                page.value(titles),
                [
                    "At a glance",
                    "Chunk length",
                    "Reuse of a choice",
                    "Fidelity to the full cache",
                    "Similarity of layers",
                ],
            )
            self.assertIn("medium-1.5b.gguf", page.value("document.querySelector('#subtitle').innerText"))
            self.assertGreater(page.value(painted("fidelity-kl-divergence-nats-by-share") + ".painted"), 0.01)
            self.assertEqual(page.problems, [])

    def test_the_proxy_is_called_one(self):
        with Page(self.page, 1280) as page:
            text = page.value("document.querySelector('section[data-title=JailbreakV]').innerText")
        self.assertIn("safe rate (proxy)", text)
        self.assertIn("refusal phrase", text)


class Command(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        samples = Samples()
        samples.speed(1)
        self.results = samples.write(self.folder / "speed.jsonl")

    def refused(self, code, *arguments, says):
        before = sorted(self.folder.iterdir())
        result = chunkkv("report", *arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        for text in says:
            self.assertIn(text, result.stderr)
        self.assertEqual(sorted(self.folder.iterdir()), before)

    def test_markdown(self):
        printed = chunkkv("report", self.results, "--markdown")
        self.assertEqual(printed.returncode, 0, printed.stderr)
        self.assertTrue(printed.stdout.startswith("Scores are out of 100."))
        self.assertIn("| 8,192 + 1,024 | `full` | 100% |", printed.stdout)
        self.assertNotIn("### Fidelity", printed.stdout)
        page, file = self.folder / "r.html", self.folder / "r.md"
        both = chunkkv("report", "-", "-o", page, "--markdown", file, stdin=self.results.read_text())
        self.assertEqual((both.returncode, both.stdout), (0, ""), both.stderr)
        self.assertEqual(file.read_text(), printed.stdout)
        self.assertIn('"machine":"x86-64, 2 threads, made up"', page.read_text())

    def test_is_the_same_again(self):
        samples = Samples()
        samples.longbench(2)
        answers = samples.write(self.folder / "answers.jsonl")
        first, second = (chunkkv("report", answers, self.results, "--markdown").stdout for _ in range(2))
        self.assertIn("### LongBench", first)
        self.assertEqual(first, second)

    def test_a_broken_line_has_a_place(self):
        broken = self.folder / "broken.jsonl"
        broken.write_text(self.results.read_text() + '{"benchmark":"niah","task"\n')
        n_lines = len(self.results.read_text().splitlines())
        self.refused(
            1,
            self.results,
            broken,
            "-o",
            self.folder / "r.html",
            says=[f"broken.jsonl, line {n_lines + 1} is broken: it is not valid JSON", "remove the line"],
        )

    def test_bad_arguments(self):
        page = self.folder / "r.html"
        self.refused(2, "-o", page, says=["no results given"])
        self.refused(2, self.results, says=["nothing to write", "-o report.html"])
        self.refused(2, "--markdown", self.results, self.results, says=["is not written over"])
        self.refused(2, self.results, "-o", self.results, says=["is not written over"])
        self.refused(2, self.results, "-o", page, "--baseline", "chunky", says=['no method "chunky"'])
        self.refused(1, self.folder / "none.jsonl", "-o", page, says=["cannot read", "none.jsonl"])
        self.refused(1, self.folder, "-o", page, says=["cannot read"])
        empty = self.folder / "empty.jsonl"
        empty.write_text("\n")
        self.refused(1, empty, "-o", page, says=["hold no line"])

    def test_results_are_left_alone(self):
        before = json.loads(self.results.read_text().splitlines()[0])
        chunkkv("report", self.results, "-o", self.folder / "r.html")
        self.assertEqual(json.loads(self.results.read_text().splitlines()[0]), before)


if __name__ == "__main__":
    unittest.main()
