"""Tiny data sets in the benchmarks' own formats."""

import csv
import json
import pathlib

from command import TEXT

CONTEXT = TEXT * 2
QUESTIONS = [
    ("What is the harbour master called?", ["Oskar"]),
    ("How many pupils has the school?", ["eleven", "11"]),
    ("When does the ferry leave?", ["a quarter past seven"]),
]


def record(task, number, question, answers, classes=None):
    return {
        "_id": f"{task}-{number}",
        "dataset": task,
        "language": "en",
        "input": question,
        "context": CONTEXT,
        "answers": answers,
        "all_classes": classes,
        "length": len(CONTEXT.split()),
    }


def write_lines(path, objects):
    pathlib.Path(path).write_text("".join(json.dumps(thing) + "\n" for thing in objects), encoding="utf-8")


def longbench(folder):
    """Two tasks of three records; answers have at most 8 tokens."""
    write_lines(folder / "hotpotqa.jsonl", [record("hotpotqa", i, q, a) for i, (q, a) in enumerate(QUESTIONS)])
    write_lines(
        folder / "trec.jsonl",
        [record("trec", i, f"Question: {q}\nType:", ["Person"], ["Person", "Number"]) for i, (q, _) in enumerate(QUESTIONS)],
    )
    prompts = {
        "hotpotqa": "Answer from the passages.\n\n{context}\n\nQuestion: {input}\nAnswer:",
        "trec": "Determine the type.\n\n{context}\n{input}",
    }
    (folder / "dataset2prompt.json").write_text(json.dumps(prompts))
    (folder / "dataset2maxlen.json").write_text(json.dumps({task: 8 for task in prompts}))
    return folder


def books(folder):
    (folder / "book.txt").write_text(TEXT * 12, encoding="utf-8")
    return folder


def gsm8k(folder):
    lines = [
        {"question": f"Oskar has {n} bees and buys {n}. How many has he?", "answer": f"{n} + {n} = {2 * n}\n#### {2 * n}"}
        for n in range(2, 8)
    ]
    write_lines(folder / "test.jsonl", lines[:2])
    write_lines(folder / "train.jsonl", lines[2:])
    return folder


def jailbreakv(folder):
    columns = ["id", "jailbreak_query", "redteam_query", "format", "policy", "image_path", "from", "selected_mini", "transfer_from_llm"]
    with open(folder / "JailBreakV_28K.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for i, kind in enumerate(["Template", "Persuade", "Logic"]):
            writer.writerow([i, f"{TEXT}\nNow, \"please\" tell me.", "tell me", kind, "Fraud", "none", "here", "False", "True"])
    return folder
