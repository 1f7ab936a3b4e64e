"""OpenAI's own client beside a server, for tests."""

import unittest

from served import CITY, KEY, Served, need, said

need("openai")

import openai

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Tells the {name}",
            "parameters": CITY,
        },
    }
    for name in ("weather", "time")
]


def start():
    Case.server = Served("-c", 2048, "-ub", 128, "-np", 2, "--alias", "little")
    Case.client = openai.OpenAI(base_url=f"{Case.server.url}/v1", api_key=KEY, max_retries=0, timeout=300)


def end():
    Case.client.close()
    Case.server.end()


class Case(unittest.TestCase):
    def chat(self, messages, **options):
        options = {"model": "little", "temperature": 0, "max_tokens": 8, **options}
        return self.client.chat.completions.create(messages=said(messages) if isinstance(messages, str) else messages, **options)

    def complete(self, prompt, **options):
        options = {"model": "little", "temperature": 0, "max_tokens": 4, **options}
        return self.client.completions.create(prompt=prompt, **options)

    def n_tokens(self, text):
        return len(self.server.request("/tokenize", {"content": text})[1]["tokens"])

    def assert_counts(self, usage, prompt, answer):
        self.assertEqual((usage.prompt_tokens, usage.completion_tokens), (prompt, answer))
        self.assertEqual(usage.total_tokens, prompt + answer)


def one_call(**choice):
    return {"tools": TOOLS, "logit_bias": {"2": 100}, "max_tokens": 60, **choice}
