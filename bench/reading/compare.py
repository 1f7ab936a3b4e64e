#!/usr/bin/env python3
"""Reading a prompt with chunkkv's own kernels and with llama.cpp's, and what methods add to it.

For each model and length: prefill seconds, ms a token and peak memory with and without --no-fast-prefill, in turns, and
what observing, choosing and moving add to the new prefill. Only the standard library; one process at a time.

    bench/reading/compare.py --chunkkv build/release/chunkkv --models A.gguf,B.gguf --text BOOK.txt --tokens 7900,24000
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--chunkkv", required=True)
    add("--models", required=True, help="GGUF files, separated by commas")
    add("--text", required=True, help="a text long enough for all lengths")
    add("--tokens", default="7900", help="lengths of the prompt, separated by commas")
    add("--methods", default="chunkkv,snapkv,tova,h2o,rkv", help="specs; '' leaves them out")
    add("--generate", type=int, default=32)
    add("--threads", type=int, default=2)
    add("--repetitions", type=int, default=2)
    add("--json", help="file for all runs")
    return parser.parse_args()


def run(options: argparse.Namespace, model: str, prompt: Path, method: str, *more: str) -> dict:
    keep = [] if method == "full" else ["--keep", "10%"]
    command = [options.chunkkv, "run", "-m", model, "-f", str(prompt), "--no-chat-template", "--method", method, *keep,
               "-n", str(options.generate), "--ignore-eos", "-t", str(options.threads), "--json", *more]  # fmt: skip
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{errors.read().decode(errors='replace')[-2000:]}")
        return json.loads(out.read()) | {"peak_mib": usage.ru_maxrss / 1024}


def write_prompt(options: argparse.Namespace, model: str, text: str, tokens: int, path: Path) -> None:
    """About so many tokens: characters by what a small piece has."""
    piece = text[:4000]
    path.write_text(piece, encoding="utf-8")
    short = argparse.Namespace(**(vars(options) | {"generate": 1}))
    per_token = len(piece) / run(short, model, path, "full")["prompt_tokens"]
    if len(text) < tokens * per_token:
        sys.exit(f"the text is too short for {tokens} tokens; give a longer one")
    path.write_text(text[: int(tokens * per_token)], encoding="utf-8")


def median(runs: list[dict], value) -> float:
    return statistics.median(value(r) for r in runs)


def kernels(runs: dict[str, list[dict]]) -> str:
    """One line for a model and length: ours / llama.cpp's."""
    ours, theirs = runs["full"], runs["llama.cpp"]
    prefill = [median(r, lambda x: x["ms"]["prefill"]) / 1000 for r in (ours, theirs)]
    token = [median(r, lambda x: x["ms"]["per_token"]) for r in (ours, theirs)]
    peak = [median(r, lambda x: x["peak_mib"]) for r in (ours, theirs)]
    return (
        f"prefill {prefill[0]:.2f} s, llama.cpp {prefill[1]:.2f} s: {prefill[1] / prefill[0]:.2f} times faster; "
        f"a token {token[0]:.1f} / {token[1]:.1f} ms; peak {peak[0]:.0f} / {peak[1]:.0f} MiB ({peak[0] / peak[1]:.2f})"
    )


def overhead(runs: list[dict]) -> str:
    added = [median(runs, lambda x, k=key: x["ms"][k]) for key in ("observe", "select", "move")]
    # The program's prefill includes observing and selecting.
    share = sum(added) / (median(runs, lambda x: x["ms"]["prefill"]) - added[0] - added[1])
    return f"observe {added[0]:.0f}, select {added[1]:.1f}, move {added[2]:.1f} ms: {100 * share:.2f} % of reading alone"


def main() -> None:
    options = arguments()
    text = Path(options.text).read_text(encoding="utf-8")
    methods = options.methods.split(",") if options.methods else []
    everything = []
    for model in options.models.split(","):
        for tokens in map(int, options.tokens.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                prompt = Path(folder) / "prompt.txt"
                write_prompt(options, model, text, tokens, prompt)
                runs: dict[str, list[dict]] = {}
                for _ in range(options.repetitions):
                    for name in ["full", "llama.cpp", *methods]:
                        flags = ["--no-fast-prefill"] if name == "llama.cpp" else []
                        method = "full" if name == "llama.cpp" else name
                        runs.setdefault(name, []).append(run(options, model, prompt, method, *flags))
            print(f"{Path(model).name}, {runs['full'][0]['prompt_tokens']} tokens: {kernels(runs)}")
            for name in methods:
                print(f"  {name}: {overhead(runs[name])}", flush=True)
            everything.append({"model": model, "tokens": tokens, "runs": runs})
            if options.json:
                Path(options.json).write_text(json.dumps(everything), encoding="utf-8")


if __name__ == "__main__":
    main()
