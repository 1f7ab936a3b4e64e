"""`chunkkv chat`, by pipe and at a terminal."""

import os
import pathlib
import pty
import re
import signal
import subprocess
import tempfile
import unittest

from command import BINARY, FULL_MODEL, MODEL, QUESTION, TEXT, chunkkv, demo_text, parsed, rest_of, run_json

KEEP = ("--keep", "60%", "--keep-at-least", 0)
COMMANDS = ("/clear", "/help", "/keep", "/load", "/method", "/quit", "/save", "/stats")


def chat(*lines, arguments=(), n=16, model=MODEL):
    return chunkkv("chat", "-m", model, "-t", 1, "-n", n, *arguments, stdin="".join(f"{line}\n" for line in lines))


class Chat(unittest.TestCase):
    model = MODEL

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.document = self.folder / "text.txt"
        self.document.write_text(TEXT)

    def answers(self, *lines, **options):
        """What a chat printed; its answers are one line each here."""
        result = chat(*lines, model=self.model, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.splitlines()

    def start(self, *arguments, **options):
        process = subprocess.Popen(
            [BINARY, "chat", "-m", FULL_MODEL, "-t", "1", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process


class Answers(Chat):
    """Answers of other computations than a chat's, which round otherwise: only a model that knows them gives the same."""

    model = FULL_MODEL

    def test_the_first_answer_is_that_of_run(self):
        anew = run_json("-f", self.document, "-q", QUESTION, "-n", 16, "-t", 1, *KEEP, model=self.model)
        first = self.answers(QUESTION, arguments=("-f", self.document, *KEEP))
        self.assertEqual(first, anew["answer"].splitlines())
        source = self.answers(QUESTION, arguments=("-f", self.document, *KEEP, "--keep-source"))
        self.assertEqual(source, anew["answer"].splitlines())

    def test_without_a_chat_template(self):
        plain = ("-f", self.document, *KEEP, "--no-chat-template")
        anew = run_json(*plain, "-q", QUESTION, "-n", 16, "-t", 1, model=self.model)
        self.assertEqual(chat(QUESTION, arguments=plain, model=self.model).stdout, anew["answer"] + "\n")

    def test_without_a_document(self):
        alone = run_json("-q", "Say yes.", "-n", 16, "-t", 1, "--method", "full", model=self.model)
        self.assertEqual(self.answers("Say yes."), alone["answer"].splitlines())


class Turns(Chat):
    def test_later_turns_read_what_is_new_only(self):
        arguments = ("-f", self.document, *KEEP, "--method", "chunkkv")
        result = chat(QUESTION, "/stats", "Say yes.", "/stats", arguments=arguments)
        read = [int(n) for n in re.findall(r"last turn (\d+) tokens read", result.stderr)]
        self.assertEqual(len(read), 2, result.stderr)
        self.assertGreater(read[0], 100)
        self.assertLess(read[1], 40)
        self.assertIn("2 turns", result.stderr)
        self.assertIn("compressed 1 times", result.stderr)

    def test_a_kept_source_is_chosen_from_anew(self):
        result = chat(
            QUESTION, "/stats", "Say yes.", "/stats", arguments=("-f", demo_text(), "--keep", "10%", "--keep-at-least", 0, "--keep-source")
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        cells = [int(n) for n in re.findall(r"cache +(\d+) of", result.stderr)]
        # A tenth of the document, the answer and little else, each time.
        self.assertEqual(len(cells), 2)
        self.assertLess(abs(cells[0] - cells[1]), 40)
        self.assertRegex(result.stderr, r"source +\d+ tokens, [\d.]+ MiB in host memory")

    def test_never_outgrows_its_cells(self):
        result = chat(
            "Tell a story.",
            "/stats",
            "Go on.",
            "/stats",
            arguments=("-f", self.document, "--cells", 256, "--keep", 100, "--ignore-eos"),
            n=250,
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        use = re.findall(r"cache +(\d+) of (\d+) cells", result.stderr)
        self.assertEqual([of for _, of in use], ["256", "256"])
        self.assertTrue(all(int(used) <= 256 for used, _ in use))
        self.assertGreater(int(re.findall(r"compressed (\d+) times", result.stderr)[-1]), 2)
        self.assertEqual(result.stderr.count("(cut at -n)"), 2)

    def test_the_same_input_gives_the_same_answers(self):
        script = (QUESTION, "And what does he sell?", "/keep 30", "Say it again.")
        arguments = ("-f", self.document, *KEEP, "--temp", 1, "--seed", 3)
        self.assertEqual(self.answers(*script, arguments=arguments), self.answers(*script, arguments=arguments))


class Saving(Chat):
    model = FULL_MODEL

    def test_what_was_saved_goes_on_elsewhere(self):
        path = self.folder / "talk.kv"
        whole = self.answers(QUESTION, "And what does he sell?", arguments=("-f", self.document, *KEEP))
        first = self.answers(QUESTION, f"/save {path}", arguments=("-f", self.document, *KEEP))
        told = parsed(chunkkv("cache", "info", path, "--json"))
        self.assertEqual(told["end"], "answer")
        for way in (("--cache", path), ()):
            lines = ("And what does he sell?",) if way else (f"/load {path}", "And what does he sell?")
            rest = self.answers(*lines, arguments=(*way, *KEEP))
            self.assertEqual(first + rest, whole)
        asked = parsed(
            chunkkv("run", "-m", self.model, "-t", 1, "--cache", path, "-q", "And what does he sell?", "-n", 16, "--json")
        )
        self.assertEqual(first + asked["answer"].splitlines(), whole)

    def test_a_kept_source_is_saved_whole(self):
        path = self.folder / "source.kv"
        self.document.write_text(TEXT * 2)  # the last two tiles of attention are read with each question
        arguments = ("-f", self.document, *KEEP, "--keep-source")
        whole = self.answers(QUESTION, "And what does he sell?", arguments=arguments)
        first = self.answers(QUESTION, f"/save {path}", arguments=arguments)
        self.assertTrue(parsed(chunkkv("cache", "info", path, "--json"))["source"])
        self.assertEqual(first + self.answers("And what does he sell?", arguments=("--cache", path, *KEEP)), whole)

    def test_the_system_prompt_stays_protected(self):
        path = self.folder / "system.kv"
        self.answers(QUESTION, f"/save {path}", arguments=("-f", self.document, *KEEP, "-sys", "Be brief."))
        self.assertGreater(parsed(chunkkv("cache", "info", path, "--json"))["protected_tokens"], 3)

    def test_another_text_begins_anew(self):
        alone = self.answers(QUESTION, arguments=("-f", self.document, *KEEP))
        self.assertEqual(self.answers("Say yes.", f"/load {self.document}", QUESTION, arguments=KEEP)[-1:], alone[-1:])


class Commands(Chat):
    def test_help_lists_them(self):
        result = chat("/help")
        for name in COMMANDS:
            self.assertIn(name, result.stderr)
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_quit_ends(self):
        self.assertEqual(chat("/quit", "/nonsense").returncode, 0)

    def test_a_mistake_is_said_and_the_chat_goes_on(self):
        for line, words in {
            "/nonsense": "/help",
            "/keep": "BUDGET",
            "/keep 0": "budget",
            "/method nonsense": "nonsense",
            "/method pyramidkv": "whole prompt",
            "/load nowhere.kv": "nowhere.kv",
            f"/load {self.folder}": "regular file",
            "/save nowhere.kv": "ask something first",
            "/stats now": "nothing after it",
        }.items():
            result = chat(line, "/help")
            self.assertEqual(result.returncode, 1, line)
            self.assertTrue(result.stderr.startswith("chunkkv: "), result.stderr)
            self.assertIn(words, result.stderr.splitlines()[0])
            self.assertIn("/quit", result.stderr)

    def test_a_damaged_file_leaves_the_conversation(self):
        path = self.folder / "talk.kv"
        chat("Say yes.", f"/save {path}")
        path.write_bytes(path.read_bytes()[:-1])
        result = chat("Say yes.", f"/load {path}", "/stats")
        self.assertIn("cut short", result.stderr)
        self.assertIn("1 turns", result.stderr)

    def test_a_turn_that_does_not_fit_was_not_asked(self):
        result = chat(
            "Say yes.", TEXT * 5, "/stats", "Say yes.", arguments=("--cells", 256, "--method", "full"), n=8
        )
        self.assertEqual(result.returncode, 1)
        self.assertIn("drops nothing", result.stderr)
        self.assertIn("1 turns", result.stderr)
        self.assertEqual(len(result.stdout.splitlines()), 2)

    def test_options_that_do_not_go_together(self):
        for arguments, words in (
            (("-f", "-"), "standard input"),
            (("-f", self.document, "--cache", "x.kv"), "one of them"),
            (("--cells", 512, "-c", 512), "one of them"),
            (("--method", "pyramidkv"), "whole prompt"),
            (("-fa", "off"), "-fa on"),
            (("-f", demo_text(), "--keep-source", "--cells", 512), "--cells"),
        ):
            result = chat("Say yes.", arguments=arguments)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(words, result.stderr)


class Blocks(Chat):
    BLOCK = "Read this:\n/stats\n\nIt is a list. What is in it?"

    def n_read(self, result):
        return [int(n) for n in re.findall(r"last turn (\d+) tokens read", result.stderr)]

    def test_three_quotes_make_one_question_of_several_lines(self):
        asked = run_json("-q", self.BLOCK, "-n", 16, "-t", 1, "--method", "full")["answer"]
        for lines in ((f'"""{self.BLOCK}"""',), ('"""', *self.BLOCK.split("\n"), '"""')):
            result = chat(*lines, "/stats")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout, asked + "\n")
            self.assertIn("1 turns", result.stderr)

    def test_quotes_without_an_end_are_a_mistake(self):
        result = chat('"""', "What is this?")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("has no end", result.stderr)

    def test_two_slashes_begin_a_question_with_one(self):
        asked = run_json("-q", "/stats is what?", "-n", 16, "-t", 1, "--method", "full")["answer"]
        self.assertEqual(chat("//stats is what?").stdout, asked + "\n")

    def test_what_is_pasted_at_a_terminal_is_one_question(self):
        asked = run_json("-q", self.BLOCK, "-n", 16, "-t", 1, "--method", "full")["answer"]
        main, other = pty.openpty()
        process = subprocess.Popen(
            [BINARY, "chat", "-m", MODEL, "-t", "1", "-n", "16"], stdin=other, stdout=subprocess.PIPE, stderr=other
        )
        os.close(other)
        seen = b""
        while b"> " not in seen:
            seen += os.read(main, 4096)
        self.assertIn(b"\x1b[?2004h", seen)
        pasted = self.BLOCK.replace("\n", "\r").encode()
        os.write(main, b"\x1b[200~" + pasted + b"\x1b[201~\r")
        os.write(main, b"/stats\r/quit\r")
        seen += rest_of(main)
        out, _ = process.communicate(timeout=120)
        os.close(main)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(out.decode(), asked + "\n")
        self.assertIn(b"1 turns", seen)
        self.assertIn(b"\x1b[?2004l", seen)


class Interrupts(Chat):
    def test_ctrl_c_stops_an_answer_only(self):
        process = self.start("--ignore-eos", "-n", 100000)
        process.stdin.write(b"Tell a story.\n")
        process.stdin.flush()
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        while b"(interrupted)" not in process.stderr.readline():
            pass
        process.stdin.write(b"/stats\n/quit\n")
        process.stdin.flush()
        _, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(b"1 turns", err)

    def test_ctrl_c_while_reading_leaves_what_was(self):
        process = self.start("-f", demo_text(), "-ub", 64, "--progress", "lines", "-n", 4)
        process.stdin.write(b"Who kept the notebook?\n")
        process.stdin.flush()
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        while b"interrupted" not in process.stderr.readline():
            pass
        _, err = process.communicate(b"/stats\n", timeout=120)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(b"0 turns", err)
        self.assertIn(b"0 of 8192 cells", err)

    def test_ctrl_c_at_the_prompt_ends(self):
        process = self.start()
        process.stdin.write(b"/help\n")
        process.stdin.flush()
        while b"/stats" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
        self.assertEqual(process.returncode, 130)

    def test_a_signal_to_terminate_ends_an_answer_too(self):
        process = self.start("--ignore-eos", "-n", 100000)
        process.stdin.write(b"Tell a story.\n")
        process.stdin.flush()
        process.stdout.read(1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
        self.assertEqual(process.returncode, 143)

    def test_a_terminal_has_a_prompt(self):
        controller, terminal = pty.openpty()
        process = subprocess.Popen(
            [BINARY, "chat", "-m", MODEL, "-t", "1", "-n", "4"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        self.addCleanup(process.kill)
        os.close(terminal)
        seen = self.read_until(controller, "> ")
        self.assertIn("/help", seen)
        os.write(controller, b"Say yes.\n")
        self.read_until(controller, "\n> ")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=120), 130)
        os.close(controller)

    def read_until(self, controller, end):
        seen = ""
        while not seen.replace("\r", "").endswith(end):
            seen += os.read(controller, 4096).decode()
        return seen


if __name__ == "__main__":
    unittest.main()
