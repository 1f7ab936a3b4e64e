#!/usr/bin/env python3
"""What a budget that chooses itself would have given, from fidelity results.

    bench/eval/auto_budget.py FIDELITY.jsonl [TOLERANCE...]

The rule: after the first 16 tokens of the answer the first 8 of them choose, and predictions 9 to 16 are made again from
what would be left at each share; the smallest share whose mean KL divergence on them is below the tolerance is taken. The
file needs `--methods hybrid,hybrid:after=8 --keep 50%,35%,20%,10%,5%` and answers longer than 17 tokens: what follows the
16th is what is compared, with one share for all samples that keeps as much on average (between two shares, on a line).
"""

import collections
import json
import sys

SHARES = {"5%": 0.05, "10%": 0.1, "20%": 0.2, "35%": 0.35, "50%": 0.5}
TOLERANCES = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def samples(path):
    """Of each sample, by share: the divergence that would be checked, and that of the rest of the answer."""
    found = collections.defaultdict(dict)
    with open(path, encoding="utf-8") as file:
        for line in map(json.loads, file):
            found[line["task"], line["id"]][line["method"], line["keep"]] = line.get("kl_by_token")
    for kl in found.values():
        if any((method, share) not in kl for method in ("hybrid", "hybrid:after=8") for share in SHARES):
            continue
        if len(kl["hybrid", "5%"]) > 17:
            yield ({s: mean(kl["hybrid:after=8", s][8:16]) for s in SHARES}, {s: mean(kl["hybrid", s][16:]) for s in SHARES})


def fixed_at(share, fixed):
    points = sorted((SHARES[s], kl) for s, kl in fixed.items())
    for (a, low), (b, high) in zip(points, points[1:]):
        if share <= b:
            return low + (high - low) * (share - a) / (b - a)
    return points[-1][1]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    found = list(samples(sys.argv[1]))
    if not found:
        sys.exit("no sample has all shares of both methods and an answer of more than 17 tokens")
    fixed = {s: mean(rest[s] for _, rest in found) for s in SHARES}
    print(f"{len(found)} samples; KL of the rest at fixed shares: {', '.join(f'{s} {kl:.3f}' for s, kl in fixed.items())}")
    for tolerance in map(float, sys.argv[2:] or TOLERANCES):
        chosen = [next((s for s in SHARES if check[s] <= tolerance), "50%") for check, _ in found]
        share = mean(SHARES[s] for s in chosen)
        kl = mean(rest[s] for s, (_, rest) in zip(chosen, found))
        print(f"tolerance {tolerance}: {share:.1%} kept on average, KL {kl:.3f}; a fixed share of that {fixed_at(share, fixed):.3f}")


main()
