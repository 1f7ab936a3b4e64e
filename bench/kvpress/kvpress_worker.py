"""One prompt through transformers and kvpress on the CPU: prints one JSON object with the figures.

usage: kvpress_worker.py MODEL_FOLDER IDS.json SHARE N_GENERATE THREADS    SHARE 1 keeps the full cache
"""

import contextlib
import json
import resource
import sys
from pathlib import Path
from time import perf_counter

import torch
from kvpress import ChunkKVPress, SnapKVPress
from transformers import AutoModelForCausalLM, DynamicCache


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@torch.inference_mode()
def main() -> None:
    if len(sys.argv) != 6:
        raise SystemExit(__doc__)
    folder, ids_file, share, n_generate, n_threads = sys.argv[1:]
    share, n_generate = float(share), int(n_generate)
    torch.set_num_threads(int(n_threads))
    memory = {"import": peak_mib()}

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    memory["load"] = peak_mib()
    ids = torch.tensor([json.loads(Path(ids_file).read_text())])
    cache = DynamicCache()
    # Chunks and window of our defaults, kvpress' own pooling.
    snapkv = SnapKVPress(compression_ratio=1 - share, window_size=32)
    press = ChunkKVPress(snapkv, chunk_length=10)

    start = perf_counter()
    with press(model) if share < 1 else contextlib.nullcontext():
        logits = model(ids, past_key_values=cache, logits_to_keep=1).logits
    prefill = perf_counter() - start
    memory["prefill"] = peak_mib()
    kept = cache.get_seq_length()

    answer = [logits[0, -1].argmax()]
    steps = []
    for position in range(ids.shape[1], ids.shape[1] + n_generate - 1):  # end-of-text tokens do not stop it
        start = perf_counter()
        step = {"past_key_values": cache, "position_ids": torch.tensor([[position]])}
        answer.append(model(answer[-1].view(1, 1), **step).logits[0, -1].argmax())
        steps.append(perf_counter() - start)

    print(
        json.dumps(
            {
                "prompt_tokens": ids.shape[1],
                "kept_tokens": kept,
                "generated_tokens": len(answer),
                "dtype": str(model.dtype).removeprefix("torch."),
                "prefill_s": prefill,
                "ms_per_token": 1000 * sum(steps) / len(steps),
                "ms_per_token_median": 1000 * sorted(steps)[len(steps) // 2],
                "peak_mib_after": memory,
            }
        )
    )


if __name__ == "__main__":
    main()
