"""The source's structure is what ARCHITECTURE.md says: no circle of includes, the command line's rooms on floors, short files."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ["base", "include", "src", "text", "results", "eval", "report", "serve", "web", "cli"]
# What an include may be relative to.
BASES = [ROOT, ROOT / "include", ROOT / "src", ROOT / "eval"]
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60
# What includes the engine's headers, llama.h and ggml.h, outside src/llama.
ENGINE_USERS = ["cli/measure/machine.cpp", "cli/terminal/engine_log.cpp", "eval/synthetic/gguf_writer.h", "text/sampler.cpp", "text/vocabulary.cpp"]
# Of cli/: each room includes those after it.
FLOORS = ["main", "commands", "measure", "options", "files", "terminal", "show"]


def sources():
    for folder in FOLDERS:
        yield from (p for p in sorted((ROOT / folder).rglob("*")) if p.suffix in (".h", ".cpp"))


def included(path):
    """The project's files that `path` includes."""
    for name in re.findall(r'^#include ["<]([^">]+)[">]', path.read_text(), re.MULTILINE):
        found = next((base / name for base in [path.parent, *BASES] if (base / name).is_file()), None)
        if found:
            yield found.resolve()


def circle(graph):
    """A list of nodes each of which leads to the next, the last to the first; None where there is none."""
    done = set()

    def search(node, way):
        if node in way:
            return way[way.index(node) :]
        if node in done:
            return None
        done.add(node)
        return next((found for other in sorted(graph.get(node, [])) if (found := search(other, way + [node]))), None)

    return next((found for node in sorted(graph) if (found := search(node, []))), None)


def functions(text):
    """Name and number of lines of each function that `text`, formatted by clang-format, defines."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if not line.endswith("{"):
            continue
        start = i
        while start > 0 and lines[start - 1].strip() and not re.search(r"[;{}:>]$|^\s*(//|#|template)", lines[start - 1]):
            start -= 1
        head = " ".join(part.strip() for part in lines[start : i + 1])
        name = re.search(r"[\w:~]+(?= ?\()", head)
        if not name or name[0] in ("if", "for", "while", "switch", "catch") or re.search(r"^(\}|(static |const )*struct )|\]\(|\[.?\] ?\{$", head):
            continue
        indent = len(lines[start]) - len(lines[start].lstrip())
        end = next((j for j in range(i + 1, len(lines)) if re.fullmatch(r" {%d}\}" % indent, lines[j])), None)
        if end is not None:
            yield name[0], end - start + 1


def room(path):
    folder = path.relative_to(ROOT / "cli").parent.name
    return folder or "main"


class Structure(unittest.TestCase):
    def test_finds_circles(self):
        self.assertIsNone(circle({"a": ["b", "c"], "b": ["c"], "c": []}))
        self.assertEqual(circle({"a": ["b"], "b": ["c"], "c": ["b"]}), ["b", "c"])

    def test_no_circle_of_includes(self):
        graph = {path.resolve(): list(included(path)) for path in sources()}
        self.assertGreater(sum(map(len, graph.values())), 500)
        self.assertIsNone(circle(graph))

    def test_rooms_of_the_command_line_lie_on_floors(self):
        arrows = set()
        for path in (ROOT / "cli").rglob("*.*"):
            for other in included(path) if path.suffix in (".h", ".cpp") else []:
                if other.is_relative_to(ROOT / "cli") and room(other) != room(path):
                    arrows.add((room(path), room(other)))
        self.assertEqual({name for arrow in arrows for name in arrow}, set(FLOORS))
        up = [f"{a} -> {b}" for a, b in sorted(arrows) if FLOORS.index(a) > FLOORS.index(b)]
        self.assertEqual(up, [])

    def test_private_headers_of_the_library_stay_in_it(self):
        for path in sources():
            if not path.is_relative_to(ROOT / "src"):
                self.assertFalse([p for p in included(path) if p.is_relative_to(ROOT / "src")], path)

    def test_few_see_the_engine(self):
        engine = re.compile(r'^#include [<"](llama|ggml|gguf)[\w-]*\.h[>"]', re.MULTILINE)
        found = [path.relative_to(ROOT).as_posix() for path in sources() if engine.search(path.read_text())]
        self.assertEqual(sorted(name for name in found if not name.startswith("src/llama/")), ENGINE_USERS)

    def test_what_all_rooms_use_needs_none_of_them(self):
        for path in (ROOT / "base").iterdir():
            others = [p for p in included(path) if not p.is_relative_to(ROOT / "base") and not p.is_relative_to(ROOT / "include")]
            self.assertEqual(others, [], path)

    def test_nothing_includes_the_command_line(self):
        for path in sources():
            if not path.is_relative_to(ROOT / "cli"):
                self.assertFalse([p for p in included(path) if p.is_relative_to(ROOT / "cli")], path)

    def test_files_are_short(self):
        long = [f"{path}: {n}" for path in sources() if (n := len(path.read_text().splitlines())) > MOST_LINES]
        self.assertEqual(long, [])

    def test_counts_lines_of_functions(self):
        text = "int f(int a,\n      int b) {\n  if (a) {\n    return b;\n  }\n  return 0;\n}\n\nclass C {\n  C() : a(1) {\n    a();\n  }\n};\n"
        self.assertEqual(list(functions(text)), [("f", 7), ("C", 3)])

    def test_functions_are_short(self):
        found = [(f"{path}: {name}", n) for path in sources() for name, n in functions(path.read_text())]
        self.assertGreater(len(found), 1500)
        self.assertEqual([each for each in found if each[1] > MOST_LINES_OF_A_FUNCTION], [])


if __name__ == "__main__":
    unittest.main()
