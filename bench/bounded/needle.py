#!/usr/bin/env python3
"""A prompt longer than the cache: is the needle still found, and what do time and memory become?

Puts one sentence into a long text at several depths, asks for it, and compares `chunkkv run --cells` with the full
cache on the same prompts: answers, prefill time, time per token, cache memory. One process at a time; a result
that is already in --out is not measured again.

    bench/bounded/needle.py --binary build/release/chunkkv --model MODEL.gguf --text BOOK.txt --tokens 24000 \\
        --cells 4096 --keep 1024 --depths 8 --out needle.json
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

NEEDLE = " The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day. "
QUESTION = "What is the best thing to do in San Francisco?"
FOUND = "dolores park"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True, help="a long text; its first 5 %% (front matter) are skipped")
    parser.add_argument("--tokens", default="24000", help="prompt lengths, separated by commas")
    parser.add_argument("--cells", type=int, default=4096)
    parser.add_argument("--keep", default="1024")
    parser.add_argument("--methods", default="chunkkv", help="specs, separated by blanks")
    parser.add_argument("--observer", default="question")
    parser.add_argument("--depths", type=int, default=8)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--no-full", action="store_true", help="leave the full cache out")
    parser.add_argument("--out", required=True, help="JSON file with the results so far")
    return parser.parse_args()


def run(options, prompt, *more):
    command = [options.binary, "run", "-m", options.model, "-f", prompt, "-q", QUESTION, "-n", "32", "--json",
               "-t", str(options.threads), "--progress", "off", *more]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def write_prompt(path, text, characters, depth):
    """The text's beginning with the needle after the end of a sentence, and how many characters it has."""
    part = text[:characters]
    at = part.rfind(". ", 0, int(len(part) * depth)) + 1 if depth > 0 else 0
    path.write_text(part[:at] + NEEDLE + part[at:], encoding="utf-8")


def characters_for(options, text, tokens, folder):
    """How many characters make about that many tokens: measured on a small piece."""
    sample = folder / "sample.txt"
    sample.write_text(text[:20000], encoding="utf-8")
    shown = subprocess.run(
        [options.binary, "inspect", "-m", options.model, "-f", sample, "--method", "streamingllm", "--json", "-t", "1"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(20000 / json.loads(shown.stdout)["tokens"] * tokens)


def main():
    options = arguments()
    whole = pathlib.Path(options.text).read_text(encoding="utf-8")
    text = whole[len(whole) // 20 :]
    out = pathlib.Path(options.out)
    results = json.loads(out.read_text()) if out.exists() else {}
    bounded = ["--cells", str(options.cells), "--keep", options.keep, "--observer", options.observer]
    ways = {spec: ["--method", spec, *bounded] for spec in options.methods.split()}
    if not options.no_full:
        ways["full"] = ["--method", "full"]

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prompt = folder / "prompt.txt"
        for tokens in map(int, options.tokens.split(",")):
            characters = characters_for(options, text, tokens, folder)
            for i in range(options.depths):
                depth = (i + 0.5) / options.depths
                write_prompt(prompt, text, characters, depth)
                for way, more in ways.items():
                    key = f"{tokens} {depth:.3f} {way} {' '.join(more)}"
                    if key not in results:
                        results[key] = run(options, prompt, *more) | {"tokens": tokens, "depth": depth, "way": way}
                        out.write_text(json.dumps(results, indent=1))
                    r = results[key]
                    print(
                        f"{tokens} tokens, depth {depth:.2f}, {way}: "
                        f"{'found' if FOUND in r['answer'].lower() else 'LOST'}, "
                        f"prefill {r['ms']['prefill'] / 1000:.1f} s, {r['ms']['per_token']:.1f} ms a token",
                        flush=True,
                    )
    table(list(results.values()))


def table(results):
    """Medians over the depths; ratios to the full cache."""
    print("\n| tokens | cache | found | prefill | ms a token | cells | memory |\n|---|---|---|---|---|---|---|")
    full = {}
    for tokens in sorted({r["tokens"] for r in results}):
        for way in sorted({r["way"] for r in results}, key=lambda w: w != "full"):
            mine = [r for r in results if r["tokens"] == tokens and r["way"] == way]
            if not mine:
                continue
            row = {
                "prefill": statistics.median(r["ms"]["prefill"] + r["ms"]["move"] for r in mine) / 1000,
                "token": statistics.median(r["ms"]["per_token"] for r in mine),
                "bytes": mine[0]["cache_bytes"]["allocated"],
            }
            full = row if way == "full" else full
            found = sum(FOUND in r["answer"].lower() for r in mine)

            def ratio(key):
                return f" ({row[key] / full[key]:.2f})" if full and way != "full" else ""

            print(
                f"| {tokens} | {way} | {found} of {len(mine)} | {row['prefill']:.1f} s{ratio('prefill')} "
                f"| {row['token']:.1f}{ratio('token')} | {mine[0]['cells']} "
                f"| {row['bytes'] / 2**20:.0f} MiB{ratio('bytes')} |"
            )


if __name__ == "__main__":
    main()
