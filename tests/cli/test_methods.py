"""`chunkkv methods` and what needs no model."""

import re
import unittest

from command import chunkkv, parsed


class Methods(unittest.TestCase):
    def test_json_tells_every_parameter(self):
        methods = parsed(chunkkv("methods", "--json"))
        by_name = {method["name"]: method for method in methods}
        self.assertEqual(len(by_name), len(methods))
        for method in methods:
            self.assertTrue(method["summary"])
            self.assertTrue(method["paper"])
            for parameter in method["parameters"]:
                self.assertTrue(parameter["help"])
                if parameter["kind"] == "choice":
                    self.assertIn(parameter["default"], parameter["choices"])
                else:
                    self.assertLessEqual(parameter["min"], parameter["default"])
                    self.assertLessEqual(parameter["default"], parameter["max"])
        chunk = {parameter["name"]: parameter for parameter in by_name["chunkkv"]["parameters"]}
        self.assertEqual(chunk["chunk"]["default"], 10)
        self.assertIn("2502.00299", by_name["chunkkv"]["paper"])

    def test_text_names_everything_that_the_json_does(self):
        text = chunkkv("methods").stdout
        for method in parsed(chunkkv("methods", "--json")):
            self.assertIn(method["summary"], text)
            self.assertIn(method["paper"], text)
            for parameter in method["parameters"]:
                self.assertIn(f"{parameter['name']}={parameter['default']}", text)


class Program(unittest.TestCase):
    def test_tells_its_version_and_the_engine_s(self):
        result = chunkkv("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"^chunkkv \d+\.\d+\.\d+ \(llama\.cpp \S+\)$")

    def test_helps(self):
        for command in ("run", "inspect", "methods"):
            self.assertIn(command, chunkkv("--help").stdout)
            result = chunkkv(command, "--help")
            self.assertEqual(result.returncode, 0)
            self.assertTrue(re.search(r"--json", result.stdout), command)


if __name__ == "__main__":
    unittest.main()
