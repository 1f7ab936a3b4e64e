#!/usr/bin/env python3
"""chunkkv's server beside llama.cpp's own: the same model, flags, cache memory, documents and clients.

Each server runs alone. What was measured is in OUT at once, so that an interrupted run goes on when it is started
again with the same options. Only the standard library; the table's ratios say how many times better chunkkv is.

    bench/server/build_llama_server /tmp/llama-server
    bench/server/compare.py --model MODEL.gguf --chunkkv build/release/chunkkv \\
        --llama-server /tmp/llama-server/build/bin/llama-server --json result.json
"""

import argparse
import http.client
import json
import os
import shlex
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import client
import documents
from client import Answer, Conversation
from server import OtherLoad, Server

PHASES = ("full", "decode", "held", "second-turn")
LLAMA, FULL, KEPT = "llama-server", "chunkkv, full", "chunkkv"
# What a phase compares: the same experiment on two servers. llama-server's clients serve two phases.
COMPARED = {
    "full": ("clients", LLAMA, FULL),
    "decode": ("clients", LLAMA, KEPT),
    "held": ("held", LLAMA, KEPT),
    "second-turn": ("second-turn", LLAMA, KEPT),
}
MISSES = 2  # so many conversations in a row that are read again: older ones are not asked


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", required=True)
    add("--llama-server", required=True)
    add("--chunkkv", help="without it only llama-server is measured")
    add("--phases", default=",".join(PHASES), help=f"which, separated by commas (default: {','.join(PHASES)})")
    add("--quick", action="store_true", help="a small run that shows that everything works: 300 tokens, 2 clients")
    add("--documents", type=int, help="conversations begun where those are counted that are held (default: 8 a client)")
    add("--tokens", type=int, help="of a document (default: 6000)")
    add("--answer", type=int, help="tokens of an answer (default: 128)")
    add("--clients", type=int, help="at once, and slots of the servers (default: 8)")
    add("--turns", type=int, default=3, help="conversations that go on after others took the slots (default: 3)")
    add("--method", default="chunkkv")
    add("--keep", default="10%")
    add("--threads", type=int, default=2)
    add("--cells", type=int, help="of the cache (default: what all clients' whole conversations need)")
    add("--ubatch", type=int, default=512)
    add("--cache-type", default="f16")
    add("--seed", type=int, default=1)
    add("--llama-options", default="--cache-ram 0", help="more for llama-server (default: no copies in memory, which "
        "would be more cache memory: '--cache-ram 0')")  # fmt: skip
    add("--chunkkv-options", default="--source-bytes 0", help="more for chunkkv (default: '--source-bytes 0')")
    add("--json", help="file for everything that was measured; a run goes on from it")
    add("--again", action="store_true", help="measure what is in the file again")
    options = parser.parse_args()
    usual = (300, 2, 32) if options.quick else (6000, 8, 128)
    for name, value in zip(("tokens", "clients", "answer"), usual):
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.documents = options.documents or 8 * options.clients
    options.phases = options.phases.split(",")
    if unknown := set(options.phases) - set(PHASES):
        parser.error(f"no phase is called {', '.join(sorted(unknown))}; there are {', '.join(PHASES)}")
    # llama-server divides its cells by its slots, in steps of 256.
    conversation = options.tokens + 2 * options.answer + 128
    options.cells = options.cells or options.clients * -(-conversation // 256) * 256
    options.turns = min(options.turns, options.clients)
    return options


def settings(options: argparse.Namespace) -> dict:
    names = ("tokens", "answer", "clients", "documents", "turns", "method", "keep", "threads", "cells", "ubatch",
             "cache_type", "seed", "llama_options", "chunkkv_options")  # fmt: skip
    return {"model": Path(options.model).name} | {name: getattr(options, name) for name in names}


class Results:
    """In a file, if one was given, as soon as they are known."""

    def __init__(self, options: argparse.Namespace):
        self.path = Path(options.json) if options.json else None
        self.data: dict = {"settings": settings(options), "words": [], "measured": {}}
        if self.path and self.path.exists():
            earlier = json.loads(self.path.read_text(encoding="utf-8"))
            if earlier["settings"] != self.data["settings"]:
                sys.exit(f"{self.path} is of a run with other settings; give another file")
            self.data = earlier

    def of(self, experiment: str, name: str) -> dict | None:
        return self.data["measured"].get(experiment, {}).get(name)

    def add(self, experiment: str, name: str, figures: dict) -> None:
        self.data["measured"].setdefault(experiment, {})[name] = figures
        self.save()

    def save(self) -> None:
        if self.path:
            unfinished = self.path.with_name(self.path.name + ".part")
            unfinished.write_text(json.dumps(self.data, indent=1) + "\n", encoding="utf-8")
            os.replace(unfinished, self.path)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


class Run:
    """One server and what experiments need of it."""

    def __init__(self, options: argparse.Namespace, name: str, server: Server, texts: list[str]):
        self.options, self.name, self.server, self.texts = options, name, server, texts
        self.kv = {"method": options.method, "keep": options.keep, "source": False} if name == KEPT else None

    def turns(self, conversations: list[Conversation], what: str, tokens: int | None = None, workers: int = 0) -> list[Answer]:
        workers = workers or self.options.clients

        def progress(count: int) -> None:
            say(f"{self.name}: {what}: {count} of {len(conversations)}")

        return client.in_parallel(lambda c: c.turn(self.server.port, tokens or self.options.answer, self.kv),
                                  conversations, workers, progress)  # fmt: skip

    def conversations(self, begin: int, end: int) -> list[Conversation]:
        return [Conversation(text) for text in self.texts[begin:end]]

    def is_held(self, answer: Answer) -> bool:
        """At least half of the document was not read again."""
        if self.name == LLAMA:
            return answer.timings.get("cache_n", 0) >= self.options.tokens / 2
        kv = answer.kv
        read = kv.get("read", self.options.tokens)
        return kv.get("reread_reason") is None and kv.get("reused", 0) > 0 and read < self.options.tokens / 2


def rates(answers: list[Answer]) -> dict:
    """Of answers that were asked for together: until the last of them begins some prompt is still being read."""
    start = min(a.sent for a in answers)
    all_read = max(a.first for a in answers)
    end = max(a.last for a in answers)
    after = sum(a.tokens_after(all_read) for a in answers)
    return {
        "first_token_s": [a.first_token_s for a in answers],
        "first_token_mean_s": statistics.mean(a.first_token_s for a in answers),
        "first_token_max_s": max(a.first_token_s for a in answers),
        "tokens": sum(a.tokens for a in answers),
        "seconds": end - start,
        "tokens_per_s": sum(a.tokens for a in answers) / (end - start),
        "tokens_after_reading": after,
        "tokens_per_s_after_reading": after / (end - all_read) if end > all_read else None,
        "answers": [a.summary() for a in answers],
    }


def clients(run: Run) -> dict:
    """All clients bring their documents at once; when all have their answers, they ask again at once."""
    conversations = run.conversations(0, run.options.clients)
    first = run.turns(conversations, "documents read and answered")
    second = run.turns(conversations, "second answers")
    return {"first": rates(first), "second": rates(second), "held": sum(map(run.is_held, second))}


def held(run: Run) -> dict:
    """Conversations that go on without being read again, the newest asked first: what a server drops is its oldest."""
    options = run.options
    # llama-server has a cell for each token, and a conversation for each slot, unless it may copy them elsewhere.
    without_copies = run.name == LLAMA and "--cache-ram 0" in options.llama_options
    begun = min(options.documents, options.clients + MISSES) if without_copies else options.documents
    conversations = run.conversations(0, begun)
    first = run.turns(conversations, "conversations begun")
    conversations.sort(key=lambda c: -c.answered)
    probes: list[dict] = []
    for conversation in conversations:
        answer = run.turns([conversation], f"conversation {len(probes) + 1} of {begun} goes on", short_answer(options))[0]
        probes.append(answer.summary() | {"held": run.is_held(answer)})
        if len(probes) >= MISSES and not any(p["held"] for p in probes[-MISSES:]):
            break
    return {"begun": begun, "held": sum(p["held"] for p in probes), "all_held": all(p["held"] for p in probes),
            "reading": rates(first), "probes": probes}  # fmt: skip


def second_turn(run: Run) -> dict:
    """Some conversations, then others on as many slots as there are, then a second turn of the first, one at a time."""
    options = run.options
    conversations = run.conversations(0, options.turns)
    run.turns(conversations, "conversations begun")
    run.turns(run.conversations(options.turns, options.turns + options.clients), "others take the slots")
    answers = run.turns(conversations, "second turns", short_answer(options), workers=1)
    return rates(answers) | {"held": sum(map(run.is_held, answers))}


EXPERIMENTS: dict[str, Callable[[Run], dict]] = {"clients": clients, "held": held, "second-turn": second_turn}


def short_answer(options: argparse.Namespace) -> int:
    return min(16, options.answer)


def command(options: argparse.Namespace, name: str) -> list[str]:
    o = options
    shared = ["-m", o.model, "-c", o.cells, "-np", o.clients, "-t", o.threads, "-ub", o.ubatch,
              "-ctk", o.cache_type, "-ctv", o.cache_type]  # fmt: skip
    if name == LLAMA:
        arguments_ = [o.llama_server, *shared, "--no-ui", *shlex.split(o.llama_options)]
    else:
        method = ["--method", "full"] if name == FULL else ["--method", o.method, "--keep", o.keep]
        conversations = o.documents + o.clients
        arguments_ = [o.chunkkv, "serve", *shared, *method, "--conversations", conversations, *shlex.split(o.chunkkv_options)]
    return [str(a) for a in arguments_]


def texts(options: argparse.Namespace, results: Results, server: Server) -> list[str]:
    """All documents, and that this server counts their tokens like the one that measured them."""
    needed = max(options.documents, options.clients + max(options.turns, MISSES))
    words = results.data["words"]

    def count(text: str) -> int:
        return client.count_tokens(server.port, text)

    while len(words) < needed:
        words.append(documents.words_for(1000 * options.seed + len(words), options.tokens, count))
        results.save()
    made = [documents.document(1000 * options.seed + i, n) for i, (n, _) in enumerate(words[:needed])]
    if count(made[0]) != words[0][1]:
        sys.exit("the servers count the tokens of the same document differently")
    return made


def measure(options: argparse.Namespace, results: Results, experiment: str, name: str) -> None:
    say(f"{name}: starting for: {experiment}")
    with Server(command(options, name)) as server:
        try:
            run = Run(options, name, server, texts(options, results, server))
            warm = Conversation("A few words to begin with.").turn(server.port, 4, run.kv)
            start, load = time.monotonic(), OtherLoad(server)
            figures = EXPERIMENTS[experiment](run)
        except (OSError, http.client.HTTPException, client.ServerError) as error:
            time.sleep(1)  # so that a server that is ending has ended, and its log tells why
            server.check()
            raise client.ServerError(f"{name}: {error or type(error).__name__}\n{server.log_end()}") from None
        figures |= {"wall_s": time.monotonic() - start, "other_cores": load.cores(), "peak_mib": server.peak_mib(),
                    "command": server.command, "warm_up": warm.summary()}  # fmt: skip
    results.add(experiment, name, figures)


def table(options: argparse.Namespace, results: Results) -> str:
    lines = [f"{'':<58}{'llama-server':>14}{'chunkkv':>12}{'ratio':>9}{'bar':>8}"]
    for phase in options.phases:
        experiment, *names = COMPARED[phase]
        theirs, ours = (results.of(experiment, name) for name in names)
        kept = "full cache" if names[1] == FULL else f"{options.method}, {options.keep} kept"
        lines.append(f"{phase} ({kept})")
        for label, value, bar, less_is_better in ROWS[phase]:
            a, b = (value(figures) if figures else None for figures in (theirs, ours))
            ratio = (a / b if less_is_better else b / a) if a and b and less_is_better is not None else None
            met = "" if bar is None or ratio is None else "met" if ratio >= bar else "missed"
            cells = [number(a), number(b), number(ratio), number(bar)]
            lines.append(f"  {label:<56}{cells[0]:>14}{cells[1]:>12}{cells[2]:>9}{cells[3]:>8}  {met}".rstrip())
    if "held" in options.phases and (ours := results.of("held", KEPT)) and ours["all_held"]:
        lines.append(f"chunkkv held all {ours['begun']} conversations: with more --documents it may hold more.")
    return "\n".join(lines)


def number(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.2f}"


# A line of the table: label, figure, the ratio that it is to reach, whether less is better (None: no ratio).
COMMON = [
    ("memory of the process at its peak, MiB", lambda f: f["peak_mib"], None, True),
    ("cores that other programs used", lambda f: f["other_cores"], None, None),
]
ROWS: dict[str, list[tuple[str, Callable[[dict], float | None], float | None, bool | None]]] = {
    "full": [
        ("first token of a document's answer, mean s", lambda f: f["first"]["first_token_mean_s"], 0.95, True),
        ("  of the last client, s", lambda f: f["first"]["first_token_max_s"], None, True),
        ("tokens/s once prompts are read (second answers)", lambda f: f["second"]["tokens_per_s_after_reading"], 0.95, False),
        ("  in the first answers", lambda f: f["first"]["tokens_per_s_after_reading"], None, False),
        ("tokens/s, reading included (first answers)", lambda f: f["first"]["tokens_per_s"], 0.95, False),
        *COMMON,
    ],
    "decode": [
        ("tokens/s once prompts are read (second answers)", lambda f: f["second"]["tokens_per_s_after_reading"], 2, False),
        ("  in the first answers", lambda f: f["first"]["tokens_per_s_after_reading"], None, False),
        ("tokens/s, reading included (first answers)", lambda f: f["first"]["tokens_per_s"], None, False),
        ("first token of a document's answer, mean s", lambda f: f["first"]["first_token_mean_s"], None, True),
        *COMMON,
    ],
    "held": [("conversations held", lambda f: f["held"], 6, False), *COMMON],
    "second-turn": [
        ("first token after others took the slots, mean s", lambda f: f["first_token_mean_s"], 10, True),
        ("  of them held", lambda f: f["held"], None, False),
        *COMMON,
    ],
}


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    results = Results(options)
    measured_now: set[tuple[str, str]] = set()
    for phase in options.phases:
        experiment, *names = COMPARED[phase]
        for name in names:
            known = results.of(experiment, name) is not None
            if (known and not options.again) or (experiment, name) in measured_now or (name != LLAMA and not options.chunkkv):
                continue
            measure(options, results, experiment, name)
            measured_now.add((experiment, name))
    print(table(options, results))


if __name__ == "__main__":
    try:
        main()
    except client.ServerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
