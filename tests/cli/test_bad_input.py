"""Bad input: one clear sentence that says what to do; exit code 2 for usage, 1 for failure; nothing on
standard output."""

import pathlib
import re
import subprocess
import tempfile
import unittest

from command import MODEL, N_TOKENS, TEXT, chunkkv, inspect, run
from gguf_file import with_metadata

USAGE, FAILURE = 2, 1


class BadInput(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def check(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        errors = [line for line in result.stderr.splitlines() if line.startswith("chunkkv: ")]
        self.assertEqual(len(errors), 1, result.stderr)  # notes on the budget may come before it
        message = errors[0]
        for word in words:
            self.assertIn(str(word), message)


class Address(BadInput):
    def test_not_of_this_machine(self):
        host = "192.0.2.1"  # kept for documents
        self.check(chunkkv("serve", "-m", MODEL, "--host", host, "--port", 0), FAILURE, host + ":", "--host")
        self.check(chunkkv("serve", "-m", MODEL, "--host", host, "--port", 9), FAILURE, host + ":9:", "--port")


class Model(BadInput):
    def load(self, path):
        return chunkkv("run", "-m", path, "-p", TEXT)

    def test_none(self):
        self.check(chunkkv("run", "-p", TEXT), USAGE, "-m")

    def test_missing(self):
        path = self.folder / "none.gguf"
        self.check(self.load(path), FAILURE, path)

    def test_folder(self):
        self.check(self.load(self.folder), FAILURE, self.folder, "folder")

    def test_not_a_model(self):
        path = self.file("text.gguf", "this is no model\n" * 100)
        result = self.load(path)
        self.check(result, FAILURE, path)
        self.assertIn("magic", result.stderr)  # the engine's reason is shown although it is silent otherwise

    def test_cut_short(self):
        with open(MODEL, "rb") as model:
            path = self.file("cut.gguf", model.read(8 << 20))
        self.check(self.load(path), FAILURE, path)

    def test_empty(self):
        self.check(self.load(self.file("empty.gguf", b"")), FAILURE, "empty.gguf")

    def test_that_cannot_be_compressed(self):
        path = self.file("alibi.gguf", with_metadata(MODEL, "llama.attention.max_alibi_bias", 8.0))
        self.check(self.load(path), FAILURE, "cannot be compressed", "ALiBi")


class Prompt(BadInput):
    def test_empty(self):
        for arguments in (("-p", ""), ("-p", " \n\t"), ("-f", self.file("empty.txt", "")), ()):
            self.check(run(*arguments), USAGE, "prompt is empty", "-f")

    def test_missing_file(self):
        self.check(run("-f", self.folder / "none.txt"), FAILURE, "none.txt")

    def test_folder(self):
        self.check(run("-f", self.folder), FAILURE, self.folder)

    def test_given_twice(self):
        self.check(run("-p", TEXT, "-f", self.file("text.txt", TEXT)), USAGE, "-p", "-f")

    def test_not_utf_8(self):
        self.check(run("-f", self.file("latin1.txt", b"caf\xe9")), USAGE, "UTF-8", "byte 3", "iconv")
        self.check(run("-p", b"caf\xe9"), USAGE, "UTF-8", "byte 3")
        self.check(run("-p", TEXT, "-q", b"caf\xe9"), USAGE, "question is not UTF-8", "byte 3")

    def test_the_advice_for_text_in_another_encoding_works(self):
        texts = {
            "Voilà, Zoë; a café façade. " * 9: ("latin-1", "cp1252"),
            "“Quoted” – 5 € for ‘it’… " * 9: ("cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"),
            "我们在海边的老房子里住了三年。" * 9: ("gb18030", "utf-16", "utf-16-be", "utf-32-be"),
            "吾輩は猫である。名前はまだ無い。" * 9: ("shift_jis", "euc-jp", "utf-16-le"),
            "Съешь же ещё этих мягких французских булок. " * 9: ("cp1251", "koi8-r", "utf-16"),
            "나는 바닷가의 오래된 집에서 살았다. " * 9: ("euc-kr",),
        }
        for text, encodings in texts.items():
            for encoding in encodings:
                with self.subTest(encoding=encoding, text=text[:10]):
                    path = self.file("other.txt", text.encode(encoding))
                    result = run("-f", path)
                    self.check(result, USAGE, "UTF-8", "iconv", str(path))
                    named = re.findall(r"may be ([A-Z0-9, _-]+);|seems to be ([A-Z0-9-]+);", result.stderr)
                    advised = re.search(r"iconv (-f \S+) -t UTF-8 ('[^']+')", result.stderr)
                    names = [name for group in named for name in "".join(group).split(", ")]
                    self.assertIn(advised[1], [f"-f {name}" for name in names], result.stderr)
                    converted = [
                        subprocess.run(f"iconv -f {name} -t UTF-8 {advised[2]}", shell=True, capture_output=True, check=True)
                        for name in names
                    ]  # each named encoding converts without an error, and one of them rightly
                    results = [one.stdout.decode().removeprefix("\ufeff") for one in converted]
                    self.assertIn(text, results)
                    if encoding.startswith("utf") or encoding in ("latin-1", "cp1252"):
                        self.assertEqual(results[0], text)

    def test_broken_utf_8_and_what_is_no_text(self):
        path = self.file("broken.txt", "Ein Grüßen aus Köln. ".encode() * 30 + b"\xe9!")
        result = run("-f", path)
        self.check(result, USAGE, "all but a few bytes", "iconv -c -f UTF-8")
        dropped = subprocess.run(f"iconv -c -f UTF-8 -t UTF-8 '{path}'", shell=True, capture_output=True)
        self.assertTrue(dropped.stdout.decode().endswith("Köln. !"))
        for content, words in (
            (b"%PDF-1.7\n\xe2\xe3", "PDF"), (b"PK\x03\x04\xff\0", "ZIP"), (b"\x1f\x8b\x08\0\xff", "gzip"),
            (b"\xfd\xff\xfe" + bytes(range(256)) * 4, "no text at all"),
        ):  # fmt: skip
            self.check(run("-f", self.file("binary.bin", content)), USAGE, words)

    def test_longer_than_the_context(self):
        self.check(run("-p", TEXT, "-c", 64), USAGE, "64", "-c", "shorter")

    def test_longer_than_the_model_was_trained_for(self):
        self.check(run("-p", "one two three " * 3000), USAGE, "8192", "shorter")

    def test_system_message_without_template(self):
        self.check(run("-p", TEXT, "-sys", "Be brief.", "--no-chat-template"), USAGE, "template")


class LongRuns(BadInput):
    def test_of_a_tokenizer_that_calls_itself(self):
        with open(MODEL, "rb") as model:
            content = model.read()
        at = content.index(b"smollm", content.index(b"tokenizer.ggml.pre"))
        path = self.file("tekken.gguf", content[:at] + b"tekken" + content[at + 6:])
        text = self.file("run.txt", "A" * 80000)
        self.check(chunkkv("inspect", "-m", path, "-f", text, "-c", 256), USAGE, "tokens", "-c")


class Tokens(BadInput):
    def check_file(self, content, *words):
        self.check(inspect("--tokens-file", self.file("ids.json", content)), USAGE, *words)

    def test_no_list(self):
        for content in ("", "hello", "{}", '[1, "2"]', "[1.5]", "[1, 2"):
            self.check_file(content, "JSON array")

    def test_empty_list(self):
        self.check_file("[]", "no token ids")

    def test_not_of_this_model(self):
        self.check_file(f"[1, {N_TOKENS}]", N_TOKENS, N_TOKENS - 1)
        self.check_file("[-1]", "-1")
        self.check_file("[99999999999]", "99999999999")

    def test_beside_a_prompt(self):
        ids = self.file("ids.json", "[1, 2]")
        self.check(inspect("--tokens-file", ids, "-p", TEXT), USAGE, "--tokens-file")


class Compression(BadInput):
    def test_budget_smaller_than_what_is_protected(self):
        for command in (run, inspect):
            self.check(command("-p", TEXT, "--protect", 30, "--keep", 20), USAGE, "20", "30")
        self.check(chunkkv("perf", "-m", MODEL, "-p", TEXT, "--protect", 30, "--keep", 20), USAGE, "20", "30")
        self.check(chunkkv("perf", "-m", MODEL, "--inputs", 60, "--protect", 30, "--keep", 20), USAGE, "20", "30")

    def test_budget_that_is_none(self):
        for keep in ("0", "0%", "0.0", "101%", "1.5", "-3", "ten", "10 %", "nan"):
            self.check(run("-p", TEXT, f"--keep={keep}"), USAGE, "budget", "10%", "512")

    def test_unknown_method(self):
        self.check(run("-p", TEXT, "--method", "chunkvk"), USAGE, "chunkvk", "chunkkv", "snapkv")

    def test_unknown_parameter(self):
        self.check(run("-p", TEXT, "--method", "chunkkv:chonk=3"), USAGE, "chonk", "chunk", "window")

    def test_parameter_out_of_range(self):
        self.check(run("-p", TEXT, "--method", "chunkkv:chunk=0"), USAGE, "chunk", "from 1")

    def test_cache_positions_with_keys_that_cannot_be_turned(self):
        self.check(run("-p", TEXT, "--keep", 50, "--cells", 512, "-ub", 64, "--positions", "cache", "-ctk", "bf16"),
                   USAGE, "bf16", "-ctk")

    def test_without_flash_attention(self):
        self.check(run("-p", TEXT, "-fa", "off"), USAGE, "-fa on")


class Options(BadInput):
    def test_no_command(self):
        self.check(chunkkv(), USAGE, "run", "inspect", "methods")

    def test_unknown_command(self):
        self.check(chunkkv("compress"), USAGE, "compress", "--help")

    def test_unknown_option(self):
        self.check(run("-p", TEXT, "--budget", "10%"), USAGE, "--budget", "--help")

    def test_values_out_of_range(self):
        for option, value in (("-n", -2), ("-t", -1), ("-c", "many"), ("-ub", 0), ("--temp", -1), ("--top-p", 2),
                              ("--temp", "nan"), ("--min-p", "NaN")):
            self.check(run("-p", TEXT, option, value), USAGE, value, "--help")

    def test_an_empty_key_would_serve_everyone(self):
        self.check(self.serve("--api-key", ""), USAGE, "--api-key", "empty")

    def serve(self, *arguments):
        return chunkkv("serve", "-m", MODEL, "--port", 0, *arguments, timeout=60)

    def test_cells_that_hold_no_longer_prompt(self):
        self.check(self.serve("--cells", 200), USAGE, "200", "at least 320", "--keep")
        self.check(self.serve("--cells", 60, "--keep", 16), USAGE, "60", "at least 80")
        self.check(self.serve("--cells", 60, "--keep", "100%"), USAGE, "60", "--keep")

    def test_files_without_a_chat_template(self):
        template = self.folder / "template.jinja"
        template.write_text("")
        self.check(self.serve("--chat-template-file", template), USAGE, template, "empty")
        template.write_text("a text without any message")
        self.check(self.serve("--chat-template-file", template), USAGE, "--chat-template-file", "Jinja")

    def test_patterns_of_tensors(self):
        for pattern in ("(", "[", "blk.*("):
            self.check(run("-p", TEXT, "-ot", f"{pattern}=CPU"), USAGE, f"'{pattern}'", "regular expression")

    def test_unknown_words(self):
        self.check(run("-p", TEXT, "-ctk", "f15"), USAGE, "f15", "f16", "q8_0")
        self.check(run("-p", TEXT, "-fa", "maybe"), USAGE, "maybe", "on", "off")

    def test_scores_without_json(self):
        self.check(inspect("-p", TEXT, "--scores"), USAGE, "--json")


class Output(BadInput):
    def test_page_in_no_folder(self):
        path = self.folder / "none" / "page.html"
        self.check(inspect("-p", TEXT, "--html", path), FAILURE, path)

    def test_page_that_is_no_file(self):
        self.check(inspect("-p", TEXT, "--html", "/dev/full"), USAGE, "/dev/full")
        self.check(inspect("-p", TEXT, "--html", self.folder), USAGE, self.folder)

    def test_full_disk_behind_standard_output(self):
        import subprocess

        from command import BINARY

        with open("/dev/full", "w") as full:
            result = subprocess.run([BINARY, "methods"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, FAILURE)
        self.assertIn("standard output", result.stderr)


if __name__ == "__main__":
    unittest.main()
