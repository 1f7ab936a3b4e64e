#!/usr/bin/env python3
"""What a sweep of 24 pairs of method and budget costs beside running each of them alone.

    bench/eval/sweep_cost.py --chunkkv build/release/chunkkv --model MODEL.gguf --texts BOOKS/ --length 7000

One needle in a haystack of --length tokens, answers of 32 tokens. Times are CPU seconds of the processes, with one
thread unless told otherwise, so that other programs disturb them little. With --alone N only N of the pairs, evenly
spread, are run alone; their mean stands for all.
"""

import argparse
import resource
import subprocess

METHODS = ["streamingllm", "h2o", "snapkv", "tova", "rkv", "knorm", "chunkkv", "chunkkv:reuse=2"]
KEEPS = ["50%", "20%", "10%"]


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(arguments, methods, keeps):
    """CPU seconds of one command, and how many answers it gave."""
    before = cpu_seconds()
    result = subprocess.run(
        [
            arguments.chunkkv, "eval", "niah", "--data", arguments.texts, "-m", arguments.model, "--tasks", "single",
            "--lengths", str(arguments.length), "--depths", "0.5", "-n", "32", "--ignore-eos",
            "-t", str(arguments.threads), "--progress", "off", "--methods", methods, "--keep", keeps,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return cpu_seconds() - before, len(result.stdout.splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunkkv", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--length", type=int, default=7000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--alone", type=int, default=len(METHODS) * len(KEEPS))
    arguments = parser.parse_args()

    pairs = [(method, keep) for method in METHODS for keep in KEEPS]
    sweep, n_answers = run(arguments, ",".join(METHODS), ",".join(KEEPS))
    assert n_answers == len(pairs)
    print(f"sweep of {len(pairs)} pairs: {sweep:.1f} s", flush=True)
    alone = []
    for i in range(arguments.alone):
        method, keep = pairs[i * len(pairs) // arguments.alone]
        seconds, _ = run(arguments, method, keep)
        alone.append(seconds)
        print(f"{method} at {keep} alone: {seconds:.1f} s", flush=True)
    together = sum(alone) / len(alone) * len(pairs)
    print(f"one by one: {together:.1f} s; the sweep costs {sweep / together:.3f} of it")


if __name__ == "__main__":
    main()
