#!/usr/bin/env python3
"""What reading a prompt and generating cost with our own products and attention, and with llama.cpp's alone.

    bench/prefill/compare.py --chunkkv build/release/chunkkv --text BOOK.txt --tokens 1024 --threads 2 MODEL.gguf ...

Both run in turn, so that a slow minute strikes both alike; the table has the medians over all repetitions. Models of one
type of weights, random ones, are written with --synthetic llama-3.2-1b:layers=4 --types q4_1,q5_0,q8_0,f16.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile


def measure(arguments, model, fast):
    """Milliseconds of prefill and of a token, and what multiplied the weights."""
    command = [
        arguments.chunkkv, "perf", "-m", model, "-t", str(arguments.threads), "-r", "1", "--json", "--progress", "off",
        "--methods", "streamingllm", "--keep", "10%", "-f", arguments.text, "--n-prompt", str(arguments.tokens),
        "-n", str(arguments.generate),
    ]  # fmt: skip
    result = json.loads(subprocess.run(command + ([] if fast else ["--no-fast-prefill"]), check=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)  # fmt: skip
    method = result["methods"][0]
    products = sorted({use["product"] for use in result["weights"]})
    return method["prefill_ms"]["median"], method["full_ms_per_token"]["median"], products


def synthetic_models(arguments, folder):
    for kind in arguments.types.split(","):
        path = os.path.join(folder, f"{arguments.synthetic.split(':')[0]}-{kind}.gguf")
        made = subprocess.run(
            [arguments.chunkkv, "perf", "--synthetic", arguments.synthetic, "--synthetic-type", kind, "-m", path,
             "--inputs", "64", "--outputs", "2", "--methods", "streamingllm", "-r", "1", "--progress", "off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if made.returncode != 0:
            sys.exit(made.stderr[-2000:])
        yield path


def compare(arguments, model):
    samples = {True: [], False: []}
    for _ in range(arguments.repetitions):
        for fast in samples:
            samples[fast].append(measure(arguments, model, fast))
    prefill, token = [
        {fast: statistics.median(s[i] for s in samples[fast]) for fast in samples} for i in (0, 1)
    ]
    print(f"| {os.path.basename(model)} | {prefill[False] / 1000:.2f} | {prefill[True] / 1000:.2f} "
          f"| {prefill[False] / prefill[True]:.2f} | {token[False]:.1f} / {token[True]:.1f} "
          f"| {'; '.join(samples[True][0][2])} |", flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL.gguf")
    parser.add_argument("--chunkkv", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--generate", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--synthetic", help="shape of random models, as perf takes it")
    parser.add_argument("--types", default="q4_1,q5_0,q8_0,f16", help="types of their weights")
    arguments = parser.parse_args()

    print("| model | llama.cpp s | ours s | prefill | ms a token, llama.cpp / ours | products |\n|---|---|---|---|---|---|")
    for model in arguments.models:
        compare(arguments, model)
    if arguments.synthetic:
        with tempfile.TemporaryDirectory() as folder:
            for model in synthetic_models(arguments, folder):
                compare(arguments, model)


if __name__ == "__main__":
    main()
