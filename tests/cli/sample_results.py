"""Result lines as `chunkkv eval` and `chunkkv perf` write them, made up: methods lose more the less they keep."""

import json
import math
import random

TASKS = {
    "single-document QA": ["narrativeqa", "qasper", "multifieldqa_en"],
    "multi-document QA": ["hotpotqa", "2wikimqa", "musique"],
    "summarisation": ["gov_report", "qmsum", "multi_news"],
    "few-shot": ["trec", "triviaqa", "samsum"],
    "synthetic": ["passage_count", "passage_retrieval_en"],
    "code": ["lcc", "repobench-p"],
}
# How much a method loses at the smallest budgets.
LOSS = {
    "chunkkv": 0.20,
    "chunkkv:reuse=2": 0.23,
    "snapkv": 0.27,
    "rkv": 0.26,
    "h2o": 0.36,
    "tova": 0.33,
    "streamingllm": 0.52,
}
ABLATION = {
    "chunkkv:chunk=3": 0.26,
    "chunkkv:chunk=5": 0.22,
    "chunkkv:chunk=20": 0.21,
    "chunkkv:chunk=30": 0.25,
    "chunkkv:reuse=3": 0.28,
    "chunkkv:reuse=4": 0.33,
}
KEEPS = ["50%", "20%", "10%"]
LAYERS = 24
PROMPT = 3400


def share(keep):
    return float(keep[:-1]) / 100 if keep.endswith("%") else int(keep) / PROMPT


def left(loss, keep):
    """The share of the quality that is left."""
    return 1 - loss * (1 - share(keep)) * (0.1 / share(keep)) ** 0.55 if keep != "100%" else 1.0


def pairs(methods, keeps=KEEPS):
    return [
        ("full", "100%", 0.0),
        *((method, keep, loss) for method, loss in methods.items() for keep in keeps),
    ]


class Samples:
    """Lines of one model; the same seed gives the same lines."""

    def __init__(self, model="tiny-0.5b.gguf", model_hash="5eed0001", seed=1, quality=0.5):
        self.random, self.quality, self.lines = random.Random(seed), quality, []
        self.trailer = {
            "seed": 0,
            "model": model,
            "model_hash": model_hash,
            "version": "0.1.0",
            "machine": "x86-64, 2 threads, made up",
        }

    def add(self, **line):
        self.lines.append({**line, **self.trailer})

    def answer(self, benchmark, task, group, number, method, keep, score, **others):
        self.add(
            benchmark=benchmark,
            task=task,
            group=group,
            id=f"{task}-{number}",
            method=method,
            keep=keep,
            answer="…",
            prompt_tokens=PROMPT,
            kept_tokens=int(PROMPT * share(keep)),
            score=round(min(1, max(0, score)), 4),
            **{"question": 0, "query": "aware", "cells": 0, "max_length": 3500, **others},
        )

    def longbench(self, n=10, benchmark="longbench", methods=LOSS | ABLATION, keeps=KEEPS):
        for group, tasks in TASKS.items():
            for task in tasks:
                base = self.quality * self.random.uniform(0.5, 1.3)
                for number in range(n):
                    hard, length = self.random.gauss(0, 0.15), self.random.randrange(500, 15000)
                    for method, keep, loss in pairs(methods, keeps):
                        score = (base + hard) * left(loss, keep) + self.random.gauss(0, 0.03)
                        self.answer(benchmark, task, group, number, method, keep, score, length=length)

    def needles(self, lengths=(1000, 2000, 4000, 8000, 12000, 16000, 24000), n_depths=10):
        for group in ("single", "key-value"):
            for length in lengths:
                for d in range(n_depths):
                    depth = round(d / (n_depths - 1), 3)
                    for method, keep, loss in pairs(LOSS):
                        seen = method != "streamingllm" or depth > 1 - share(keep)
                        chance = left(loss * length / 12000, keep) if seen else 0.05
                        self.answer(
                            "niah",
                            group,
                            group,
                            f"{length}-{depth}",
                            method,
                            keep,
                            float(self.random.random() < chance),
                            length=length,
                            depth=depth,
                            max_length=0,
                        )

    def others(self, n=20):
        for number in range(n):
            for method, keep, loss in pairs(LOSS):
                right = float(self.random.random() < self.quality * left(loss, keep))
                self.answer(
                    "gsm8k-manyshot",
                    "gsm8k-manyshot",
                    "gsm8k-manyshot",
                    number,
                    method,
                    keep,
                    right,
                    metrics={"strict": right * self.random.randrange(2), "flexible": right},
                )
                self.answer(
                    "jailbreakv",
                    "jailbreakv",
                    "jailbreakv",
                    number,
                    method,
                    keep,
                    float(self.random.random() < 0.7 * left(loss / 2, keep)),
                )
                for question in range(4):
                    self.answer(
                        "multiturn",
                        "key-value",
                        "multiturn",
                        number,
                        method,
                        keep,
                        float(self.random.random() < left(loss * (1 + question / 2), keep)),
                        question=question,
                        query="agnostic",
                    )

    def fidelity(self, n=8):
        for number in range(n):
            for method, keep, loss in pairs(LOSS | ABLATION)[1:]:
                lost = 1 - left(loss, keep)
                wobble = [1 + 0.3 * math.sin(layer / 3 + number) for layer in range(LAYERS)]
                near = 3 + 40 * loss * share(keep)
                self.add(
                    benchmark="fidelity",
                    task="qasper",
                    group="single-document QA",
                    id=f"qasper-{number}",
                    method=method,
                    keep=keep,
                    prompt_tokens=PROMPT,
                    kept_tokens=int(PROMPT * share(keep)),
                    kl=lost * self.random.uniform(0.8, 1.4),
                    top1=1 - lost * self.random.uniform(0.5, 0.7),
                    kv_l1=(1 - share(keep)) * 0.8,
                    kv_l1_layers=[(1 - share(keep)) * 0.8 * w / 1.3 for w in wobble],
                    attention_cosine=1 - lost / 2,
                    attention_cosine_layers=[1 - lost / 2 * w for w in wobble],
                    attention_mass=1 - lost / 3,
                    adjacent_similarity=math.exp(-1 / near),
                    similarity=[[math.exp(-abs(a - b) / near) for b in range(LAYERS)] for a in range(LAYERS)],
                )

    def speed(self, repetitions=3):
        costs = {
            "full": 0,
            "chunkkv": 60,
            "chunkkv:reuse=2": 32,
            "chunkkv:reuse=3": 22,
            "chunkkv:reuse=4": 17,
            "snapkv": 75,
            "h2o": 70,
            "streamingllm": 4,
        }
        for length, output in ((4096, 1024), (8192, 1024), (8192, 4096)):
            for method, cost in costs.items():
                for keep in ["100%"] if method == "full" else ["50%", "10%"]:
                    for repetition in range(repetitions):
                        noise, cells = self.random.uniform(0.97, 1.06), length * share(keep)
                        reading, observe, move = length * 1.8 * noise, cost * length / 4096, cost and 5.0
                        per_token = (20 + cells / 250) * noise
                        total = reading + observe + 1 + move + per_token * output
                        self.add(
                            benchmark="perf",
                            method=method,
                            keep=keep,
                            input=length,
                            output=output,
                            repetition=repetition,
                            ms={
                                "prefill": reading + observe + 1,
                                "observe": observe,
                                "select": 1,
                                "move": move,
                                "first_token": reading + observe + move + per_token,
                                "per_token": per_token,
                                "total": total,
                            },
                            throughput=1000 * (length + output) / total,
                            bytes={
                                "before": length * 24576,
                                "after": cells * 24576,
                                "peak": 9e8 + length * 24576,
                                "gpu": 2e9 + length * 24576,
                            },
                        )

    def everything(self):
        self.longbench()
        self.longbench(2, "longbench-e", {"chunkkv": 0.2, "snapkv": 0.27}, ["1024", "512", "256"])
        self.needles()
        self.others()
        self.fidelity()
        self.speed()
        return self

    def write(self, path):
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        return path
