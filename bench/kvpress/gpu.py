"""kvpress and chunkkv on one GPU: time to the first token, time per token, and memory of the GPU.

Both read the same number of random tokens, compress with ChunkKV (chunks of 10, window 32), and generate the
same number, whatever they are. Both warm up first; neither loads anything while it is timed. Memory is what is
in use on the GPU at the end of a run, weights included: what torch's allocator has reserved counts.

  python gpu.py --model MODEL.gguf --chunkkv build/release/chunkkv --tokens 8000,24000

kvpress runs the same weights, dequantised to bfloat16. The python that runs this needs requirements.txt, and
torch with CUDA.
"""

import argparse
import contextlib
import json
import subprocess
from statistics import median
from time import perf_counter

FIGURES = {"first_token_s": ("first token s", ".3f"), "ms_per_token": ("ms/token", ".2f"), "gpu_mib": ("GPU MiB", ".0f")}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", required=True, help="GGUF that both run")
    add("--chunkkv", required=True, help="the chunkkv program, built with CUDA")
    add("--tokens", default="8000", help="lengths of the prompt (default: 8000)")
    add("--generate", type=int, default=128, help="tokens to generate (default: 128)")
    add("--keep", type=float, default=0.1, help="share to keep, beside the full cache (default: 0.1)")
    add("--repetitions", type=int, default=3)
    add("--json", help="file for all figures")
    return parser.parse_args()


def chunkkv_runs(options: argparse.Namespace) -> dict:
    """Medians by (tokens, share)."""
    command = [options.chunkkv, "perf", "-m", options.model, "--inputs", options.tokens, "--methods", "chunkkv"]
    command += ["--keep", str(options.keep), "--outputs", str(options.generate), "-r", str(options.repetitions), "--json"]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {
        (case["input"], 1.0 if case["method"] == "full" else options.keep): {
            "first_token_s": case["first_token_ms"]["median"] / 1000,
            "ms_per_token": case["per_token_ms"]["median"],
            "gpu_mib": case["gpu_bytes"]["median"] / 2**20,
        }
        for case in result["cases"]
    }


def kvpress_runs(options: argparse.Namespace) -> dict:
    import torch
    from gguf_model import load_model

    model = load_model(options.model, torch.bfloat16).to("cuda")
    sizes = [int(size) for size in options.tokens.split(",")]
    kvpress_run(model, 512, options.keep, 8)
    runs = {}
    for tokens in sizes:
        for share in (1.0, options.keep):
            samples = [kvpress_run(model, tokens, share, options.generate) for _ in range(options.repetitions)]
            runs[tokens, share] = {key: median(sample[key] for sample in samples) for key in FIGURES}
    return runs


def kvpress_run(model, n_tokens: int, share: float, n_generate: int) -> dict:
    import torch
    from kvpress import ChunkKVPress, SnapKVPress
    from transformers import DynamicCache

    torch.cuda.empty_cache()
    ids = torch.randint(model.config.vocab_size, (1, n_tokens), device="cuda")
    cache = DynamicCache()
    press = ChunkKVPress(SnapKVPress(compression_ratio=1 - share, window_size=32), chunk_length=10)
    with torch.inference_mode():
        torch.cuda.synchronize()
        start = perf_counter()
        with press(model) if share < 1 else contextlib.nullcontext():
            token = model(ids, past_key_values=cache, logits_to_keep=1).logits[0, -1].argmax()
        torch.cuda.synchronize()
        first = perf_counter()
        for position in range(n_tokens, n_tokens + n_generate - 1):
            step = {"past_key_values": cache, "position_ids": torch.tensor([[position]], device="cuda")}
            token = model(token.view(1, 1), **step).logits[0, -1].argmax()
        torch.cuda.synchronize()
        rest = perf_counter() - first
    free, total = torch.cuda.mem_get_info()
    return {
        "first_token_s": first - start,
        "ms_per_token": 1000 * rest / (n_generate - 1),
        "gpu_mib": (total - free) / 2**20,
    }


def main() -> None:
    options = arguments()
    ours = chunkkv_runs(options)
    theirs = kvpress_runs(options)
    print("tokens  share  " + "  ".join(f"{title}: kvpress, chunkkv, ratio" for title, _ in FIGURES.values()))
    for (tokens, share), rival in theirs.items():
        own = ours[tokens, share]
        cells = [f"{rival[key]:{form}}  {own[key]:{form}}  {rival[key] / own[key]:.2f}" for key, (_, form) in FIGURES.items()]
        print(f"{tokens:6}  {share:5g}  " + "    ".join(cells))
    if options.json:
        rows = [{"tokens": t, "share": s, "kvpress": theirs[t, s], "chunkkv": ours[t, s]} for t, s in theirs]
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"options": vars(options), "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
