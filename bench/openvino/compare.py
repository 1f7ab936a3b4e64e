#!/usr/bin/env python3
"""OpenVINO GenAI and chunkkv on the same GGUF file, prompt and machine: time to the first token, ms a token.

Each run is a process of its own, in turns. The prompt is cut to about --tokens tokens and read without a chat template.

    python3 -m venv venv && venv/bin/pip install openvino-genai
    venv/bin/python bench/openvino/compare.py --chunkkv build/release/chunkkv --model MODEL.gguf --text BOOK.txt
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--chunkkv", required=True)
    add("--model", required=True, help="GGUF file for both")
    add("--text", required=True)
    add("--tokens", type=int, default=7900)
    add("--generate", type=int, default=32)
    add("--threads", type=int, default=2)
    add("--repetitions", type=int, default=2)
    add("--evict", type=int, help="tokens that both keep: OpenVINO's cache eviction, and chunkkv --keep")
    add("--worker", help=argparse.SUPPRESS)  # a prompt's file: this process runs OpenVINO
    return parser.parse_args()


def run_openvino(options: argparse.Namespace) -> dict:
    """In a process of its own: OpenVINO keeps its threads and memory."""
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching = False
    if options.evict:
        scheduler.use_cache_eviction = True
        scheduler.cache_eviction_config = genai.CacheEvictionConfig(
            start_size=32,
            recent_size=128,
            max_cache_size=options.evict,
            aggregation_mode=genai.AggregationMode.NORM_SUM,
        )
    pipeline = genai.LLMPipeline(
        options.model, "CPU", scheduler_config=scheduler, INFERENCE_NUM_THREADS=options.threads
    )
    config = genai.GenerationConfig(
        max_new_tokens=options.generate, min_new_tokens=options.generate, ignore_eos=True, apply_chat_template=False
    )
    metrics = pipeline.generate([Path(options.worker).read_text(encoding="utf-8")], config).perf_metrics
    return {
        "prompt_tokens": metrics.get_num_input_tokens(),
        "first_token_s": metrics.get_ttft().mean / 1000,
        "ms_per_token": metrics.get_tpot().mean,
    }


def result_of(command: list[str]) -> dict:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().split("\n")[-1])


def run_chunkkv(options: argparse.Namespace, prompt: Path) -> dict:
    keep = ["--method", "chunkkv", "--keep", str(options.evict)] if options.evict else ["--method", "full"]
    out = result_of([options.chunkkv, "run", "-m", options.model, "-f", str(prompt), "--no-chat-template", *keep,
                     "-n", str(options.generate), "--ignore-eos", "-t", str(options.threads), "--json"])  # fmt: skip
    return {
        "prompt_tokens": out["prompt_tokens"],
        "first_token_s": out["ms"]["first_token"] / 1000,
        "ms_per_token": out["ms"]["per_token"],
    }


def write_prompt(options: argparse.Namespace, path: Path) -> None:
    text = Path(options.text).read_text(encoding="utf-8")
    piece = text[:4000]
    path.write_text(piece, encoding="utf-8")
    short = argparse.Namespace(**(vars(options) | {"generate": 1, "evict": None}))
    per_token = len(piece) / run_chunkkv(short, path)["prompt_tokens"]
    if len(text) < options.tokens * per_token:
        sys.exit(f"the text is too short for {options.tokens} tokens; give a longer one")
    path.write_text(text[: int(options.tokens * per_token)], encoding="utf-8")


def main() -> None:
    options = arguments()
    if options.worker:
        print(json.dumps(run_openvino(options)))
        return
    results: dict[str, list[dict]] = {"OpenVINO": [], "chunkkv": []}
    with tempfile.TemporaryDirectory() as folder:
        prompt = Path(folder) / "prompt.txt"
        write_prompt(options, prompt)
        for _ in range(options.repetitions):
            results["OpenVINO"].append(
                result_of([sys.executable, __file__, *sys.argv[1:], "--worker", str(prompt)])
            )
            results["chunkkv"].append(run_chunkkv(options, prompt))
    middle = {
        side: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for side, runs in results.items()
    }
    for side, run in middle.items():
        print(f"{side}: {run['prompt_tokens']:.0f} tokens, first token {run['first_token_s']:.2f} s, "
              f"a token {run['ms_per_token']:.1f} ms")  # fmt: skip
    for key in ("first_token_s", "ms_per_token"):
        print(f"OpenVINO / chunkkv, {key}: {middle['OpenVINO'][key] / middle['chunkkv'][key]:.2f}")


if __name__ == "__main__":
    main()
