"""The Debian package: made of the build that is tested, or the one that CHUNKKV_DEB names; unpacked, not installed.

By hand: CHUNKKV_DEB=FILE.deb python3 tests/setup/test_package.py
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

TOOLS = ["cpack", "dpkg-deb", "dpkg-shlibdeps", "file"]
FILES = {
    "etc/default/chunkkv",
    "usr/bin/chunkkv",
    "usr/lib/systemd/system/chunkkv.service",
    "usr/share/doc/chunkkv/copyright",
    "usr/share/lintian/overrides/chunkkv",
}


def output(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise AssertionError(f"{command} ended with {result.returncode}:\n{result.stdout}")
    return result.stdout


def pack(folder):
    """Compression is left out: it takes longer than everything else."""
    build = pathlib.Path(os.environ["CHUNKKV_BIN"]).parent
    output("cpack", "--config", build / "CPackConfig.cmake", "-G", "DEB", "-B", folder,
           "-D", "CPACK_DEBIAN_COMPRESSION_TYPE=none")
    (package,) = folder.glob("*.deb")
    return package


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        if missing:
            raise unittest.SkipTest(f"not installed: {', '.join(missing)}")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.file = pathlib.Path(os.environ.get("CHUNKKV_DEB") or pack(pathlib.Path(folder.name, "packed")))
        cls.root = pathlib.Path(folder.name, "root")
        output("dpkg-deb", "--raw-extract", cls.file, cls.root)
        cls.control = cls.root / "DEBIAN"
        cls.unit = (cls.root / "usr/lib/systemd/system/chunkkv.service").read_text()

    def field(self, name):
        return output("dpkg-deb", "--field", self.file, name).strip()

    def test_it_holds_the_program_and_nothing_to_build_with(self):
        files = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}
        files = {file for file in files if not file.startswith("DEBIAN/")}
        self.assertEqual(files - {"usr/bin/ggml-rpc-server"}, FILES)

    def test_the_program_runs(self):
        version = output(self.root / "usr/bin/chunkkv", "--version")
        self.assertTrue(version.startswith(f"chunkkv {self.field('Version')} "), version)

    def test_fields(self):
        name = f"{self.field('Package')}_{self.field('Version')}_{self.field('Architecture')}.deb"
        self.assertEqual(self.file.name, name)
        self.assertEqual(self.field("Package"), "chunkkv")
        self.assertIn("libc6 (>=", self.field("Depends"))
        self.assertRegex(self.field("Maintainer"), r"^\S.* <\S+@\S+>$")
        self.assertIn("Built for", self.field("Description"))

    def test_scripts_are_programs_that_parse(self):
        for name in ["postinst", "prerm", "postrm"]:
            self.assertEqual((self.control / name).stat().st_mode & 0o777, 0o755, name)
            output("sh", "-n", self.control / name)

    def test_settings_are_kept_and_start_nothing_until_they_are_edited(self):
        self.assertEqual((self.control / "conffiles").read_text(), "/etc/default/chunkkv\n")
        lines = (self.root / "etc/default/chunkkv").read_text().splitlines()
        self.assertEqual([line for line in lines if line and not line.startswith("#")], [])

    def test_settings_are_options_of_the_server(self):
        text = (self.root / "etc/default/chunkkv").read_text()
        settings = text[text.index("#CHUNKKV_ARGS") :].replace("\n#", "\n")[1:]
        arguments = shlex.split(output("sh", "-c", f'{settings}\nprintf %s "$CHUNKKV_ARGS"'))
        options = [argument for argument in arguments if argument.startswith("--")]
        self.assertIn("--model", options)
        program = self.root / "usr/bin/chunkkv"
        if not re.search(r"^ *serve\b", output(program, "--help"), re.MULTILINE):
            self.skipTest("this program has no server")
        known = output(program, "serve", "--help")
        for option in options:
            self.assertRegex(known, rf"{option}\b")

    def test_the_unit_runs_the_program_as_nobody(self):
        self.assertIn("ExecStart=/usr/bin/chunkkv serve $CHUNKKV_ARGS\n", self.unit)
        self.assertIn("DynamicUser=yes\n", self.unit)

    def test_systemd_understands_the_unit(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("there is no systemd-analyze")
        unit = self.root / "chunkkv.service"
        self.addCleanup(unit.unlink)
        unit.write_text(self.unit.replace("/usr/bin/chunkkv", f"{self.root}/usr/bin/chunkkv"))
        said = output("systemd-analyze", "verify", unit)
        self.assertNotIn("chunkkv.service", said)


if __name__ == "__main__":
    unittest.main()
