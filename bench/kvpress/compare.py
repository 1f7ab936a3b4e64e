"""kvpress and chunkkv on the same prompt, weights and machine: speed and peak memory.

Every run is a process of its own; repetitions are interleaved, so that a busy moment hits both sides. Both
read the same number of tokens without a chat template and generate the same number, whatever they are.
kvpress runs ChunkKVPress (chunks of 10, window 32). Prefill includes compressing on both sides, loading on
neither; peak memory includes everything.

  python compare.py --weights F32.gguf --text BOOK.txt --chunkkv build/release/chunkkv --model BF16.gguf

The python that runs this needs requirements.txt. This file itself imports only the standard library, on
purpose: a process starts out with its parent's memory, and that would count as its peak.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).resolve().parent
FIGURES = {
    "prefill_s": ("prefill s", ".2f"),
    "ms_per_token": ("ms/token", ".1f"),
    "peak_mib": ("peak MiB", ".0f"),
}
CALM = 0.1  # cores that other programs may use during a run


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--weights", required=True, help="GGUF whose weights kvpress runs")
    add("--text", required=True, help="text file, cut to --tokens")
    add("--tokens", type=int, default=7900, help="length of the prompt (default: 7900)")
    add("--generate", type=int, default=64, help="tokens to generate (default: 64)")
    add(
        "--keep",
        type=float,
        default=0.1,
        help="share of the cache to keep, beside the full one (default: 0.1)",
    )
    add("--threads", type=int, default=2)
    add("--repetitions", type=int, default=3)
    add(
        "--retries",
        type=int,
        default=2,
        help="times to repeat a run that other programs disturbed (default: 2)",
    )
    add("--dtypes", default="bfloat16,float32", help="kvpress' number types; '' leaves kvpress out")
    add("--chunkkv", help="the chunkkv program; without it only kvpress is measured")
    add("--model", action="append", default=[], help="GGUF for chunkkv; may be repeated (default: --weights)")
    add("--chunkkv-args", default="", help="further options of chunkkv run, as one string")
    add("--method", default="chunkkv", help="chunkkv's method (default: chunkkv)")
    add("--work", help="folder for kvpress' copies of the weights; kept (default: a temporary one)")
    add("--json", help="file for all runs and the machine")
    return parser.parse_args()


def measured(command: list[str]) -> dict:
    """Runs `command`; its JSON output, peak_mib (largest resident size of the process), and how many
    processor cores it (own_cores) and other programs (other_cores) kept busy meanwhile."""
    start, busy_before = perf_counter(), busy_seconds()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds, own = perf_counter() - start, usage.ru_utime + usage.ru_stime
        others = busy_seconds() - busy_before - own
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            message = errors.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{message}")
        cores = {"own_cores": own / seconds, "other_cores": others / seconds}
        return json.loads(out.read()) | {"peak_mib": usage.ru_maxrss / 1024} | cores


def busy_seconds() -> float:
    """Processor time that the whole machine has worked; 0 where the system does not tell."""
    if not Path("/proc/stat").exists():
        return 0.0
    fields = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def prepare(options: argparse.Namespace, work: Path) -> dict:
    """Writes the prompt, and the weights in each number type; returns their folders by type."""
    folders = {}
    for dtype in options.dtypes.split(",") if options.dtypes else ["float32"]:
        folders[dtype] = work / f"{Path(options.weights).stem}-{dtype}"
        if not (folders[dtype] / "tokenizer.json").exists():  # written last
            run_tool("gguf_model.py", options.weights, folders[dtype], dtype)
    run_tool("cut_prompt.py", next(iter(folders.values())), options.text, options.tokens, work / "prompt")
    return folders


def run_tool(script: str, *args) -> None:
    subprocess.run([sys.executable, HERE / script, *map(str, args)], check=True, stderr=subprocess.DEVNULL)


def kvpress_run(folder: Path, share: float, options: argparse.Namespace, work: Path) -> dict:
    args = [folder, work / "prompt.json", share, options.generate, options.threads]
    return measured([sys.executable, str(HERE / "kvpress_worker.py"), *map(str, args)])


def chunkkv_run(model: str, share: float, options: argparse.Namespace, work: Path) -> dict:
    method = ["--method", options.method, "--keep", str(share)] if share < 1 else ["--method", "full"]
    sizes = ["-n", str(options.generate), "-t", str(options.threads)]
    command = [options.chunkkv, "run", "-m", model, "-f", str(work / "prompt.txt"), "--no-chat-template"]
    run = measured([*command, *method, *sizes, "--ignore-eos", "--json", *options.chunkkv_args.split()])
    ms = run["ms"]
    return run | {"prefill_s": (ms["prefill"] + ms["move"]) / 1000, "ms_per_token": ms["per_token"]}


def configurations(options: argparse.Namespace, folders: dict, work: Path) -> dict:
    """Runs by (side, share), side being "kvpress bfloat16" or "chunkkv MODEL"."""
    runs = {}
    for share in (1.0, options.keep):
        for dtype in filter(None, options.dtypes.split(",")):
            runs[f"kvpress {dtype}", share] = lambda d=dtype, s=share: kvpress_run(
                folders[d], s, options, work
            )
        for model in (options.model or [options.weights]) if options.chunkkv else []:
            runs[f"chunkkv {Path(model).stem}", share] = lambda m=model, s=share: chunkkv_run(
                m, s, options, work
            )
    return runs


def check_same_work(results: dict, options: argparse.Namespace) -> None:
    for (side, _), runs in results.items():
        for run in runs:
            if (
                run["prompt_tokens"] != runs[0]["prompt_tokens"]
                or run["prompt_tokens"] != options.prompt_tokens
            ):
                raise SystemExit(f"{side} read {run['prompt_tokens']} tokens, not {options.prompt_tokens}")
            if run.get("generated_tokens", options.generate) != options.generate:
                raise SystemExit(f"{side} generated {run['generated_tokens']} tokens, not {options.generate}")


def least_disturbed(run, retries: int) -> dict:
    """A run that other programs left alone; after so many retries the one that they disturbed least."""
    attempts = [run()]
    while attempts[-1]["other_cores"] > CALM and len(attempts) <= retries:
        attempts.append(run())
    return min(attempts, key=lambda attempt: attempt["other_cores"])


def spread(values: list[float], form: str) -> str:
    """Median (lowest - highest)."""
    values = sorted(values)
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    return f"{middle:{form}} ({values[0]:{form}}-{values[-1]:{form}})"


def table(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def figures_table(results: dict) -> str:
    rows = [["", "kept", *(title for title, _ in FIGURES.values())]]
    for (side, _), runs in results.items():
        cells = [spread([run[key] for run in runs], form) for key, (_, form) in FIGURES.items()]
        rows.append([side, str(runs[0]["kept_tokens"]), *cells])
    return table(rows)


def ratios(results: dict) -> list[dict]:
    """For each pair of sides at the same share, kvpress / chunkkv of every repetition."""
    pairs = []
    for (rival, share), theirs in results.items():
        for (side, same_share), ours in results.items():
            if rival.startswith("kvpress") and side.startswith("chunkkv") and share == same_share:
                quotients = {key: [a[key] / b[key] for a, b in zip(theirs, ours)] for key in FIGURES}
                pairs.append({"kvpress": rival, "chunkkv": side, "share": share} | quotients)
    return pairs


def ratios_table(pairs: list[dict]) -> str:
    rows = [
        ["kvpress / chunkkv (above 1: chunkkv is better)", "share", *(title for title, _ in FIGURES.values())]
    ]
    for pair in pairs:
        cells = [spread(pair[key], ".2f") for key in FIGURES]
        rows.append([f"{pair['kvpress']} / {pair['chunkkv']}", f"{pair['share']:g}", *cells])
    return table(rows)


def machine() -> dict:
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    flags = fields.get("flags", "").split()
    return {
        "cpu": fields.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "features": [flag for flag in wanted if flag in flags],
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": (HERE / "requirements.txt").read_text().split(),
    }


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(options.work or temporary)
        work.mkdir(parents=True, exist_ok=True)
        folders = prepare(options, work)
        options.prompt_tokens = len(json.loads((work / "prompt.json").read_text()))
        runs = configurations(options, folders, work)
        results = {key: [] for key in runs}
        for repetition in range(options.repetitions):
            for key, run in runs.items():
                print(f"{repetition + 1}/{options.repetitions} {key[0]}, share {key[1]:g}", file=sys.stderr)
                results[key].append(least_disturbed(run, options.retries))
        check_same_work(results, options)

    pairs = ratios(results)
    print(
        f"{options.prompt_tokens} tokens read, {options.generate} generated, {options.threads} threads, "
        f"{options.repetitions} repetitions: median (lowest-highest)\n\n{figures_table(results)}"
    )
    if pairs:
        print(f"\n{ratios_table(pairs)}")
    others = max(run["other_cores"] for runs in results.values() for run in runs)
    if others > CALM:
        print(f"\nNot to be trusted: other programs kept up to {others:.2f} cores busy during a run.")
    if options.json:
        rows = [{"side": side, "share": share, "runs": runs} for (side, share), runs in results.items()]
        report = {"machine": machine(), "options": vars(options), "results": rows, "ratios": pairs}
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
