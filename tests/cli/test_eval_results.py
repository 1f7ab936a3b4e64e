"""Files of results of `chunkkv eval`: runs that are killed and go on, results that know their data, damage, merging."""

import os
import random
import re
import signal
import subprocess
import unittest

import eval_data
from command import BINARY, chunkkv
from eval_case import PAIRS, Eval, key, read, without_times


LONG_ANSWERS = ("--ignore-eos", "-n", 60)  # so that there is time to interrupt a run


class Resuming(Eval):
    def setUp(self):
        super().setUp()
        eval_data.longbench(self.folder)

    def whole(self, *arguments):
        return self.eval("longbench", *arguments)

    def start(self, *arguments):
        process = subprocess.Popen(
            [BINARY, *map(str, self.command("longbench", "-o", self.out, *arguments))],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def test_after_kills_at_any_point_nothing_is_lost_or_repeated(self):
        seed = random.randrange(2**32)
        print(f"random kills: seed {seed}")
        chance = random.Random(seed)
        kills, patience = 0, 0.5
        while True:
            process = self.start(*LONG_ANSWERS)
            try:
                _, error = process.communicate(timeout=chance.uniform(0.1, patience))
                self.assertEqual(process.returncode, 0, error)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                patience *= 1.15
                if self.out.exists() and chance.random() < 0.3:
                    # What a kill in the middle of a line leaves.
                    with open(self.out, "ab") as file:
                        file.write(b'{"benchmark":"longbench","task":"hot')
        self.assertGreater(kills, 0)
        self.assertEqual(without_times(read(self.out)), without_times(self.whole(*LONG_ANSWERS)))

    def test_ctrl_c_tells_how_to_go_on(self):
        process = self.start(*LONG_ANSWERS)
        while not (self.out.exists() and self.out.stat().st_size > 0) and process.poll() is None:
            pass
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
        self.assertEqual(process.returncode, 130, error)
        self.assertRegex(error.decode(), r"interrupted; '.*results.jsonl' holds \d+ results, and the same command")
        done = read(self.out)
        self.assertLess(len(done), 6 * PAIRS)
        self.assertEqual(chunkkv(*self.command("longbench", "-o", self.out, *LONG_ANSWERS)).returncode, 0)
        lines = read(self.out)
        self.assertEqual(lines[: len(done)], done)
        self.assertEqual(without_times(lines), without_times(self.whole(*LONG_ANSWERS)))

    def test_what_is_there_is_not_done_again(self):
        self.eval("longbench", "-o", self.out, "--limit", 1)
        before = self.out.read_bytes()
        result = chunkkv(*self.command("longbench", "-o", self.out, "--limit", 1))
        self.assertEqual(self.out.read_bytes(), before)
        self.assertIn("snapkv", result.stderr)  # the table is there all the same
        self.eval("longbench", "-o", self.out, "--limit", 1, "--methods", "full,knorm")
        self.assertTrue(self.out.read_bytes().startswith(before))
        self.assertEqual(len(read(self.out)), 2 * (PAIRS + 2))

    def test_other_settings_share_the_file(self):
        one = ("-o", self.out, "--tasks", "hotpotqa", "--limit", 1)
        for other in ((), ("-n", 4), ("-ctk", "q8_0"), ("--query", "agnostic"), ("--no-chat-template",)):
            self.eval("longbench", *one, *other)
        lines = read(self.out)
        self.assertEqual(len(lines), 5 * PAIRS)
        self.assertEqual(len({key(line) for line in lines}), len(lines))

    def missing(self, name, *arguments):
        result = chunkkv(*self.command(name, *arguments, "-o", self.out, "--dry-run"))
        self.assertEqual(result.returncode, 0, result.stderr)
        return re.search(r"(\d+) of \d+ answers$", result.stdout).group(1)

    def test_other_data_are_run_anew_and_equal_data_are_not(self):
        one = ("--tasks", "hotpotqa", "--limit", 1, "-o", self.out)
        self.eval("longbench", *one)
        self.assertEqual(self.missing("longbench", *one), "0")
        prompts = self.folder / "dataset2prompt.json"
        before = prompts.read_text()
        for changed in (before.replace("passages", "texts"), before.replace("Answer:", "Short answer:")):
            prompts.write_text(changed)
            self.assertEqual(self.missing("longbench", *one), str(PAIRS))
        prompts.write_text(before)
        self.assertEqual(self.missing("longbench", *one), "0")
        lengths = self.folder / "dataset2maxlen.json"
        lengths.write_text(lengths.read_text().replace("8", "9"))
        self.assertEqual(self.missing("longbench", *one), str(PAIRS))

    def test_another_haystack_and_other_problems_are_run_anew(self):
        eval_data.books(self.folder)
        needle = ("--tasks", "single", "--lengths", 300, "--depths", 0.5, "-n", 2)
        self.eval("niah", *needle, "-o", self.out)
        self.assertEqual(self.missing("niah", *needle), "0")
        book = self.folder / "book.txt"
        book.write_text(book.read_text(encoding="utf-8").replace("the", "thy"), encoding="utf-8")
        self.assertEqual(self.missing("niah", *needle), str(PAIRS))

        eval_data.gsm8k(self.folder)
        problems = ("--shots", 0, "-n", 2)
        self.eval("gsm8k", *problems, "-o", self.out)
        self.assertEqual(self.missing("gsm8k", *problems), "0")
        test = self.folder / "test.jsonl"
        test.write_text(test.read_text().replace("bees", "cats", 1))
        self.assertEqual(self.missing("gsm8k", *problems), str(PAIRS))

    def test_another_judge_is_another_measurement(self):
        eval_data.jailbreakv(self.folder)
        lines = self.eval("jailbreakv", "--tasks", "logic", "-n", 2)
        for line in lines:
            line["settings"] += " judge=one@http://localhost:1/v1"
        eval_data.write_lines(self.out, lines)
        one = ("jailbreakv", "--tasks", "logic", "-n", 2, "--judge", "http://localhost:1/v1")
        self.assertEqual(self.missing(*one, "--judge-model", "one"), "0")
        self.assertEqual(self.missing(*one, "--judge-model", "two"), str(PAIRS))
        self.assertEqual(self.missing(*one), str(PAIRS))
        self.assertEqual(self.missing(*one[:-1], "http://localhost:2/v1", "--judge-model", "one"), str(PAIRS))

    def test_records_with_one_id_both_count(self):
        path = self.folder / "trec.jsonl"
        records = read(path)[:2]
        records[1]["_id"] = records[0]["_id"]
        eval_data.write_lines(path, records)
        self.eval("longbench", "--tasks", "trec", "-o", self.out)
        self.assertEqual(len(read(self.out)), 2 * PAIRS)
        self.check_report(" 2 samples")
        eval_data.write_lines(path, [*records, records[0]])
        error = self.fails(1, *self.command("longbench", "--tasks", "trec", "-o", self.out))
        for part in ("trec.jsonl', line 3", "trec.jsonl', line 1", "--skip-broken"):
            self.assertIn(part, error)

    def test_results_of_older_versions_are_not_taken_for_others(self):
        self.eval("longbench", "--tasks", "trec", "--limit", 1, "-o", self.out)
        lines = read(self.out)
        for line in lines:
            del line["data"]
        eval_data.write_lines(self.out, lines)
        result = chunkkv(*self.command("longbench", "--tasks", "trec", "--limit", 1, "-o", self.out))
        self.assertIn(f"{PAIRS} results of an older version", result.stderr)
        self.assertEqual(len(read(self.out)), 2 * PAIRS)

    def test_damage_that_loses_nothing_is_survived(self):
        one = ("--tasks", "trec", "--limit", 1, "-o", self.out)
        self.eval("longbench", *one)
        whole = self.out.read_bytes()
        for damage in (whole + bytes(300), whole.replace(b"\n", b"  \r\n"), b"\n" + whole + b" \n\n", whole[:-1] + b" " + bytes(9)):
            self.out.write_bytes(damage)
            self.assertEqual(self.missing("longbench", *one), "0")
            self.eval("longbench", *one)
            self.assertEqual(len([line for line in self.out.read_bytes().split(b"\n") if line.strip()]), PAIRS)
            self.assertNotIn(b"\0", self.out.read_bytes())
            self.check_report("longbench")

    def test_closed_streams_leave_the_file_alone(self):
        def close():
            for stream in range(3):
                os.close(stream)

        command = [BINARY, *map(str, self.command("longbench", "--tasks", "trec", "-o", self.out, "--progress", "lines"))]
        process = subprocess.run(command, preexec_fn=close, check=False)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(len(read(self.out)), 3 * PAIRS)

    def test_a_file_that_a_run_writes_is_not_merged_into(self):
        process = self.start("--ignore-eos", "-n", 200)
        while not (self.out.exists() and self.out.stat().st_size > 0) and process.poll() is None:
            pass
        other = self.folder / "other.jsonl"
        other.write_bytes(self.out.read_bytes())
        self.assertIn("another run is writing", self.fails(1, "eval", "merge", other, "-o", self.out))
        os.replace(other, self.out)
        _, error = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 1, error)
        self.assertIn("replaced while this run was writing it", error.decode())

    def test_shards_join_to_the_whole(self):
        parts = []
        for i in (1, 2, 3):
            parts.append(self.folder / f"part{i}.jsonl")
            self.eval("longbench", "--shard", f"{i}/3", "-o", parts[-1])
        result = chunkkv("eval", "merge", *parts, parts[0], "-o", self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("0 conflicts", result.stderr)
        self.assertEqual(without_times(read(self.out)), without_times(self.whole()))

    def test_merge_reports_conflicts(self):
        self.eval("longbench", "--tasks", "trec", "--limit", 1, "-o", self.out)
        other = self.folder / "other.jsonl"
        lines = read(self.out)
        lines[2]["answer"] = "something else"
        eval_data.write_lines(other, lines)
        result = chunkkv("eval", "merge", self.out, other, "-o", self.folder / "merged.jsonl")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr, r"conflict: '.*other.jsonl', line 3 differs from '.*results.jsonl', line 3")
        self.assertEqual(read(self.folder / "merged.jsonl"), read(self.out))

    def test_a_dry_run_tells_what_is_missing_and_does_nothing(self):
        result = chunkkv(*self.command("longbench", "-o", self.out, "--dry-run"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertFalse(self.out.exists())
        rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
        self.assertEqual([rows["hotpotqa"][i] for i in (0, 1, 5, 6)], ["3", "3", "15", "15"])
        self.assertIn("to do: 6 samples", result.stdout)
        self.eval("longbench", "-o", self.out, "--tasks", "trec")
        before = self.out.read_bytes() + b'{"benchmark":'
        self.out.write_bytes(before)
        result = chunkkv(*self.command("longbench", "-o", self.out, "--dry-run"))
        self.assertIn("to do: 3 samples", result.stdout)
        self.assertIn("15 of 30 answers", result.stdout)
        self.assertEqual(self.out.read_bytes(), before)


if __name__ == "__main__":
    unittest.main()
