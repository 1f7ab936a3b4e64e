"""Every method has a page whose table is the registry's, and the lists of methods name all of them."""

import json
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).parents[2]
BINARY = os.environ["CHUNKKV_BIN"]
PAGES = ROOT / "docs" / "methods"
HEADERS = ROOT / "include" / "chunkkv"


def registry():
    result = subprocess.run([BINARY, "methods", "--json"], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def number(value):
    return f"{value:g}" if value != int(value) else str(int(value))


def allowed(parameter):
    if parameter["kind"] == "choice":
        return ", ".join(parameter["choices"])
    low, high = number(parameter["min"]), number(parameter["max"])
    return "0 or 1" if parameter["kind"] == "integer" and (low, high) == ("0", "1") else f"{low} to {high}"


def written(value):
    return value if isinstance(value, str) else number(value)


def default(parameter):
    others = "".join(
        f"; {written(other['default'])} with `{other['parameter']}={other['value']}`"
        for other in parameter.get("default_with", [])
    )
    return written(parameter["default"]) + others


def table(method):
    """The rows that a method's page must have."""
    return [
        f"| `{p['name']}` | {default(p)} | {allowed(p)} | {p['help']} |" for p in method["parameters"]
    ]


def rows(text):
    """The rows of the page's table of parameters."""
    found = re.search(r"^\| parameter \| default \| allowed \| meaning \|\n\|[-|]+\|\n((?:\|.*\n)*)", text, re.MULTILINE)
    lines = found[1].splitlines() if found else []
    return [re.sub(r" \(\[more\]\([^)]*\)\)", "", line) for line in lines]  # where more is told


def names_in(text):
    """First cells of a table of methods: `name` or [name](name.md)."""
    return re.findall(r"^\| (?:`([a-z]\w*)`|\[(\w+)\]\(\2\.md\)) \|", text, re.MULTILINE)


class Methods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.methods = registry()
        cls.names = [method["name"] for method in cls.methods]

    def test_every_method_has_a_page_and_every_page_a_method(self):
        pages = {page.stem for page in PAGES.glob("*.md")} - {"README"}
        self.assertEqual(pages, set(self.names))

    def test_its_table_is_the_registry_s(self):
        for method in self.methods:
            page = PAGES / f"{method['name']}.md"
            expected = table(method)
            self.assertEqual(rows(page.read_text()), expected, f"{page} must say:\n" + "\n".join(expected))
            self.assertTrue(page.read_text().startswith(f"# {method['name']}\n"), page)
            for paper in re.findall(r"\d{4}\.\d{5}", method["paper"]):
                self.assertIn(paper, page.read_text(), page)

    def test_the_lists_of_methods_name_each_once(self):
        for path in (PAGES / "README.md", ROOT / "README.md"):
            named = [a or b for a, b in names_in(path.read_text())]
            self.assertEqual(sorted(named), sorted(self.names), path)

    def test_the_registry_holds_every_file(self):
        declared = re.findall(r"^MethodInfo (\w+)_method\(\);", (ROOT / "src/methods/list.h").read_text(), re.MULTILINE)
        self.assertEqual(sorted(declared), sorted(self.names))
        for name in self.names:
            self.assertTrue((ROOT / "src" / "methods" / f"{name}.cpp").exists(), name)


class Umbrella(unittest.TestCase):
    def test_includes_every_public_header(self):
        included = re.findall(r"^#include <chunkkv/(\w+\.h)>", (HEADERS / "chunkkv.h").read_text(), re.MULTILINE)
        self.assertEqual(sorted(included), sorted(header.name for header in HEADERS.glob("*.h") if header.name != "chunkkv.h"))
        self.assertEqual(included, sorted(included))


if __name__ == "__main__":
    unittest.main()
