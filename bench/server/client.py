"""Conversations with a server of llama.cpp's API, over HTTP, each answer with the times of its parts."""

import http.client
import json
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

SYSTEM = "Answer at length."
FIRST_QUESTION = "What happens in this text?"
SECOND_QUESTION = "And what else does it tell? Go on."
PATIENCE_S = 3 * 3600


class ServerError(Exception):
    pass


@dataclass
class Answer:
    sent: float
    parts: list[float] = field(default_factory=list)  # when each piece of text came
    text: str = ""
    timings: dict = field(default_factory=dict)
    kv: dict = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return self.timings.get("predicted_n", len(self.parts))

    @property
    def first(self) -> float:
        return self.parts[0]

    @property
    def last(self) -> float:
        return self.parts[-1]

    @property
    def first_token_s(self) -> float:
        return self.first - self.sent

    def tokens_after(self, when: float) -> float:
        """A piece of text stands for a token, or for more where some were held back."""
        return sum(part > when for part in self.parts) * self.tokens / len(self.parts)

    def summary(self) -> dict:
        return {"first_token_s": self.first_token_s, "seconds": self.last - self.sent, "tokens": self.tokens,
                "text": self.text, "timings": self.timings, "kv": self.kv}  # fmt: skip


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def post(port: int, path: str, body: dict) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise ServerError(f"{path}: status {response.status}: {response.read(2000).decode(errors='replace')}")
    return connection, response


def count_tokens(port: int, text: str) -> int:
    connection, response = post(port, "/tokenize", {"content": text})
    tokens = json.load(response)["tokens"]
    connection.close()
    return len(tokens)


def ask(port: int, messages: list[dict], tokens: int, kv: dict | None) -> Answer:
    body: dict[str, Any] = {"messages": messages, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True}
    if kv:
        body["kv"] = kv
    answer = Answer(time.monotonic())
    connection, response = post(port, "/v1/chat/completions", body)
    for line in response:
        if not line.startswith((b"data: ", b"error: ")) or line.strip() == b"data: [DONE]":
            continue
        event = json.loads(line.split(b": ", 1)[1])
        if line.startswith(b"error") or "error" in event:
            raise ServerError(f"while answering: {event}")
        text = "".join(choice.get("delta", {}).get("content") or "" for choice in event.get("choices", []))
        if text:
            answer.parts.append(time.monotonic())
            answer.text += text
        answer.timings = event.get("timings") or answer.timings
        answer.kv = event.get("kv") or answer.kv
    connection.close()
    if not answer.parts:
        raise ServerError("an answer without text")
    return answer


class Conversation:
    def __init__(self, document: str):
        self.messages = [{"role": "system", "content": SYSTEM}]
        self.question = f"{document}\n\n{FIRST_QUESTION}"
        self.answered = 0.0

    def turn(self, port: int, tokens: int, kv: dict | None) -> Answer:
        self.messages.append({"role": "user", "content": self.question})
        answer = ask(port, self.messages, tokens, kv)
        self.messages.append({"role": "assistant", "content": answer.text})
        self.question = SECOND_QUESTION
        self.answered = time.monotonic()
        return answer


def in_parallel(function: Callable, items: Iterable, workers: int, progress: Callable[[int], None]) -> list:
    """The results, in the items' order. Threads that do not outlive the program, so that it can be interrupted."""
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    done: queue.SimpleQueue = queue.SimpleQueue()
    items = list(items)
    for numbered in enumerate(items):
        waiting.put(numbered)

    def work() -> None:
        while True:
            try:
                number, item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((number, function(item), None))
            except Exception as error:  # raised again where the results are awaited
                done.put((number, None, error))

    for _ in range(min(workers, len(items))):
        threading.Thread(target=work, daemon=True).start()
    results: list = [None] * len(items)
    for finished in range(len(items)):
        number, result, error = done.get()
        if error:
            raise error
        results[number] = result
        progress(finished + 1)
    return results
