"""`chunkkv serve` as OpenAI's own client sees it: chats."""

import json
import math
import threading
import time
import typing
import unittest

from openai_case import TOOLS, Case, end, one_call, start
from served import CALLS, DOCUMENT, KEEP, said

import openai
import pydantic

from command import FULL_MODEL, QUESTION, TEXT, run_json

setUpModule, tearDownModule = start, end


class Chat(Case):
    def test_a_reply_has_what_the_client_promises(self):
        reply = self.chat("Say hello.", max_tokens=3)
        self.assertTrue(reply.id.startswith("chatcmpl-"))
        self.assertEqual((reply.object, reply.model, len(reply.choices)), ("chat.completion", "little", 1))
        self.assertLess(abs(reply.created - time.time()), 60)
        choice = reply.choices[0]
        self.assertEqual((choice.index, choice.finish_reason, choice.message.role), (0, "length", "assistant"))
        self.assertTrue(choice.message.content)
        self.assertIsNone(choice.message.tool_calls)
        self.assertIsNone(choice.logprobs)
        template = self.server.request("/apply-template", {"messages": said("Say hello.")})[1]["prompt"]
        self.assert_counts(reply.usage, self.n_tokens(template), 3)
        type(reply).model_validate(reply.to_dict())  # strictly: everything that is required is there

    def test_the_same_prompt_is_not_read_again(self):
        first = self.chat("Name a bird.", max_tokens=2)
        again = self.chat("Name a bird.", max_tokens=2)
        self.assertEqual(again.choices[0].message.content, first.choices[0].message.content)
        self.assertGreaterEqual(again.usage.prompt_tokens_details.cached_tokens, first.usage.prompt_tokens - 1)
        self.assertLessEqual(again.kv["read"], 1)
        self.assertEqual(again.kv["kept"], first.usage.prompt_tokens)

    def test_ends_where_the_model_ends_and_at_stop_texts(self):
        whole = self.chat("Reply with the single word: yes", max_tokens=40)
        self.assertEqual(whole.choices[0].finish_reason, "stop")
        text = self.chat("Say hello.").choices[0].message.content
        word = text.split()[2]
        for stop in (word, ["not there", word]):
            reply = self.chat("Say hello.", stop=stop)
            self.assertEqual(reply.choices[0].finish_reason, "stop")
            self.assertEqual(reply.choices[0].message.content, text[: text.index(word)])
        self.assertEqual(self.chat("Say hello.", max_tokens=openai.omit, max_completion_tokens=2).usage.completion_tokens, 2)

    def test_the_seed_decides(self):
        def answer(seed):
            return self.chat("Tell a story.", temperature=1.5, seed=seed, max_tokens=12).choices[0].message.content

        answer(5)  # is read here
        self.assertEqual(answer(5), answer(5))
        self.assertNotEqual(answer(5), answer(6))

    def test_probabilities(self):
        reply = self.chat("Say hello.", logprobs=True, top_logprobs=3, max_tokens=4)
        content = reply.choices[0].logprobs.content
        self.assertEqual(len(content), 4)
        self.assertEqual("".join(entry.token for entry in content), reply.choices[0].message.content)
        for entry in content:
            self.assertEqual(bytes(entry.bytes).decode(), entry.token)
            self.assertEqual(len(entry.top_logprobs), 3)
            self.assertEqual(entry.top_logprobs[0].token, entry.token)  # at temperature 0
            self.assertEqual(entry.top_logprobs[0].logprob, entry.logprob)
            values = [top.logprob for top in entry.top_logprobs]
            self.assertEqual(values, sorted(values, reverse=True))
            self.assertLessEqual(sum(math.exp(value) for value in values), 1 + 1e-5)
        for options in ({"logprobs": True}, {"logprobs": True, "top_logprobs": 0}):
            alone = self.chat("Say hello.", max_tokens=1, **options).choices[0].logprobs.content[0]
            self.assertEqual((alone.token, alone.top_logprobs), (content[0].token, []))

    def test_several_answers(self):
        reply = self.chat("Tell a story.", n=2, temperature=1.5, seed=3, max_tokens=6)
        self.assertEqual([choice.index for choice in reply.choices], [0, 1])
        self.assertNotEqual(*(choice.message.content for choice in reply.choices))
        self.assertEqual(reply.usage.completion_tokens, 12)
        self.assertEqual(reply.usage.total_tokens, reply.usage.prompt_tokens + 12)

    def test_a_schema_binds_the_answer(self):
        class Place(pydantic.BaseModel):
            city: typing.Literal["Bergen", "Oslo"]  # a text of any length might not end in time
            inhabitants: int

        asked = said("Bergen has 290000 inhabitants. As JSON.")
        reply = self.client.chat.completions.parse(
            model="little", messages=asked, response_format=Place, temperature=0, max_tokens=60
        )
        self.assertIsInstance(reply.choices[0].message.parsed, Place)
        reply = self.chat("A JSON object, please.", response_format={"type": "json_object"}, max_tokens=60)
        if reply.choices[0].finish_reason == "stop":
            self.assertIsInstance(json.loads(reply.choices[0].message.content), dict)

    def test_messages_of_all_roles_and_of_parts(self):
        parts = [{"type": "text", "text": "Say "}, {"type": "text", "text": "hello."}]
        reply = self.chat([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}])
        system = self.chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}])
        self.assertEqual(reply.choices[0].message.content, system.choices[0].message.content)


class Streams(Case):
    def test_have_the_pieces_of_the_whole_answer(self):
        whole = self.chat("Say hello.")
        chunks = list(self.chat("Say hello.", stream=True))
        self.assertEqual(len({chunk.id for chunk in chunks}), 1)
        self.assertEqual({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual([c.choices[0].finish_reason for c in chunks], [None] * (len(chunks) - 1) + ["length"])
        self.assertTrue(all(chunk.usage is None for chunk in chunks))
        self.assertEqual(chunks[-1].kv["kept"], whole.usage.prompt_tokens)
        for chunk in chunks:
            type(chunk).model_validate(chunk.to_dict())

    def test_tell_usage_at_the_end_where_asked(self):
        whole = self.chat("Say hello.")
        chunks = list(self.chat("Say hello.", stream=True, stream_options={"include_usage": True}))
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-2].choices[0].finish_reason, "length")
        self.assert_counts(chunks[-1].usage, whole.usage.prompt_tokens, 8)
        self.assertTrue(all("usage" in chunk.model_fields_set for chunk in chunks))

    def test_of_several_answers(self):
        options = {"n": 2, "temperature": 1.5, "seed": 3, "max_tokens": 6}
        whole = self.chat("Tell a story.", **options)
        whole = self.chat("Tell a story.", **options)
        chunks = list(self.chat("Tell a story.", stream=True, stream_options={"include_usage": True}, **options))
        for index in (0, 1):
            mine = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == index]
            self.assertEqual("".join(c.delta.content or "" for c in mine), whole.choices[index].message.content)
            self.assertEqual([c.finish_reason for c in mine if c.finish_reason], ["length"])
            self.assertEqual(mine[0].delta.role, "assistant")
        self.assert_counts(chunks[-1].usage, whole.usage.prompt_tokens, 12)

    def test_probabilities(self):
        whole = self.chat("Say hello.", logprobs=True, top_logprobs=2, max_tokens=4)
        chunks = list(self.chat("Say hello.", logprobs=True, top_logprobs=2, max_tokens=4, stream=True))
        entries = [entry for c in chunks if c.choices[0].logprobs for entry in c.choices[0].logprobs.content]
        self.assertEqual([e.token for e in entries], [e.token for e in whole.choices[0].logprobs.content])

    def test_of_completions(self):
        whole = self.complete("The sky is", logprobs=1)
        chunks = list(self.complete("The sky is", logprobs=1, stream=True))
        self.assertEqual("".join(c.choices[0].text for c in chunks), whole.choices[0].text)
        self.assertEqual(chunks[-1].choices[0].finish_reason, "length")
        self.assertTrue(all(chunk.usage is None for chunk in chunks))
        told = [c.choices[0].logprobs for c in chunks if c.choices[0].logprobs]
        for name in ("tokens", "text_offset"):
            self.assertEqual(
                [value for each in told for value in getattr(each, name)], getattr(whole.choices[0].logprobs, name)
            )
        usage = list(self.complete("The sky is", n=2, stream=True, stream_options={"include_usage": True}))
        self.assertEqual((usage[-1].choices, [c for c in usage[:-1] if c.usage]), ([], []))
        self.assert_counts(usage[-1].usage, 3, 8)

    def test_a_client_that_goes_frees_its_cells(self):
        prompt = "Count from one to one thousand. " * 20
        stream = self.chat(prompt, max_tokens=1000, stream=True, logit_bias={"2": -100})
        next(iter(stream))
        self.assertEqual(len(self.server.busy()), 1)
        stream.close()
        self.server.until(lambda: not self.server.busy())
        # Also one that waits for a whole reply.
        with self.assertRaises(openai.APITimeoutError):
            self.chat(prompt + "Now.", max_tokens=1000, logit_bias={"2": -100}, timeout=1)
        self.server.until(lambda: not self.server.busy())
        self.assertEqual(self.chat("Say hello.", max_tokens=1).usage.completion_tokens, 1)


class Tools(Case):
    def test_a_call_has_the_shape_of_its_schema(self):
        reply = self.chat(CALLS, **one_call(tool_choice="required"))
        choice = reply.choices[0]
        self.assertEqual((choice.finish_reason, len(choice.message.tool_calls)), ("tool_calls", 1))
        call = choice.message.tool_calls[0]
        self.assertEqual(call.type, "function")
        self.assertTrue(call.id)
        self.assertIn(call.function.name, ("weather", "time"))
        self.assertIn(json.loads(call.function.arguments)["city"], ("Bergen", "Oslo"))
        type(reply).model_validate(reply.to_dict())

    def test_the_function_may_be_named(self):
        for name in ("weather", "time"):
            choose = {"type": "function", "function": {"name": name}}
            message = self.chat(CALLS, **one_call(tool_choice=choose)).choices[0].message
            self.assertEqual([call.function.name for call in message.tool_calls], [name])
        with self.assertRaises(openai.BadRequestError):
            self.chat(CALLS, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "news"}})

    def test_a_stream_has_the_same_call(self):
        whole = self.chat(CALLS, **one_call(tool_choice="required")).choices[0].message.tool_calls[0]
        chunks = [c.choices[0] for c in self.chat(CALLS, **one_call(tool_choice="required"), stream=True)]
        deltas = [call for chunk in chunks for call in chunk.delta.tool_calls or []]
        self.assertEqual({delta.index for delta in deltas}, {0})
        self.assertEqual([delta.function.name for delta in deltas if delta.function.name], [whole.function.name])
        self.assertEqual(len([delta.id for delta in deltas if delta.id]), 1)
        self.assertEqual("".join(delta.function.arguments or "" for delta in deltas), whole.function.arguments)
        self.assertEqual(chunks[-1].finish_reason, "tool_calls")

    def test_a_call_that_is_cut_off_is_told_as_far_as_it_went(self):
        for stream in (False, True):
            reply = self.chat(CALLS, tools=TOOLS, tool_choice="required", max_tokens=4, stream=stream)
            choice = (list(reply)[-1] if stream else reply).choices[0]
            self.assertEqual(choice.finish_reason, "length")

    def test_a_result_is_taken_back(self):
        call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bergen"}'}}
        messages = [
            *said("Weather in Bergen?"),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "It rains."},
        ]
        reply = self.chat(messages, tools=TOOLS, tool_choice="none")
        self.assertTrue(reply.choices[0].message.content)
        self.assertIsNone(reply.choices[0].message.tool_calls)


class Errors(Case):
    def assert_refused(self, error, words, act):
        with self.assertRaises(error) as caught:
            act()
        body = caught.exception.body
        self.assertEqual(set(body), {"code", "message", "type", "param"})
        self.assertIn(words, body["message"])
        return caught.exception

    def test_wrong_requests(self):
        bad = openai.BadRequestError
        for words, act in (
            ("messages", lambda: self.chat([])),
            ("temperature", lambda: self.chat("Hi", temperature="hot")),
            ("tool_choice", lambda: self.chat("Hi", tools=TOOLS, tool_choice="perhaps")),
            ("kv has no 'colour'", lambda: self.chat("Hi", extra_body={"kv": {"colour": "red"}})),
            ("no method", lambda: self.chat("Hi", extra_body={"kv": {"method": "magic"}})),
            ("n", lambda: self.chat("Hi", n=0)),
            ("empty", lambda: self.complete("")),
        ):
            self.assertEqual(self.assert_refused(bad, words, act).type, "invalid_request_error")

    def test_a_wrong_key(self):
        with openai.OpenAI(base_url=f"{self.server.url}/v1", api_key="another", max_retries=0) as client:
            for act in (
                lambda: client.chat.completions.create(model="little", messages=said("Hi"), max_tokens=1),
                lambda: client.responses.create(model="little", input="Hi"),
            ):
                error = self.assert_refused(openai.AuthenticationError, "API key", act)
                self.assertEqual((error.status_code, error.type), (401, "authentication_error"))

    def test_what_is_not_there(self):
        self.assert_refused(openai.NotFoundError, "/v1/embeddings", lambda: self.client.embeddings.create(model="little", input="x"))
        self.assert_refused(openai.NotFoundError, "other", lambda: self.client.models.retrieve("other"))

    def test_a_prompt_that_is_too_long(self):
        long = "word " * 3000
        for stream in (False, True):
            act = lambda: self.chat(long, stream=stream, extra_body={"kv": {"method": "full"}})
            error = self.assert_refused(openai.BadRequestError, "cells", act)
            self.assertEqual(error.code, "context_length_exceeded")

    def test_the_server_lives_on(self):
        self.assertEqual(self.server.request("/health"), (200, {"status": "ok"}))

    def test_models(self):
        (model,) = self.client.models.list().data
        self.assertEqual((model.id, model.object, model.owned_by), ("little", "model", "chunkkv"))
        type(model).model_validate(model.to_dict())
        self.assertEqual(self.client.models.retrieve("little").id, "little")


class Cache(Case):
    """The field `kv`, and what a reply says of it."""

    SETTINGS = (
        (KEEP, ("--method", "snapkv", "--keep", "25%", "--keep-at-least", 0)),
        ({}, ()),
        ({"method": "full"}, ("--method", "full")),
    )

    @classmethod
    def setUpClass(cls):
        """Answers to a prompt of which the server knows no beginning."""
        cls.first = []
        for kv, flags in cls.SETTINGS:
            for slot in cls.server.request("/slots")[1]:
                cls.server.request(f"/slots/{slot['id']}?action=erase", {})
            cls.first.append((flags, cls.chat(cls, DOCUMENT, max_tokens=16, extra_body={"kv": kv})))

    def test_fresh_prompts_are_answered_as_by_run(self):
        for options, reply in self.first:
            ran = run_json("-p", TEXT * 3, "-q", QUESTION, "-n", 16, "-ub", 128, *options, model=FULL_MODEL)
            self.assertEqual(reply.usage.prompt_tokens, ran["prompt_tokens"])
            self.assertEqual(reply.kv["reused"], 0)
            self.assertEqual(reply.kv["kept"], ran["kept_tokens"], options)
            self.assertEqual(reply.choices[0].message.content, ran["answer"], options)

    def test_says_what_is_kept(self):
        reply = self.first[0][1]
        self.assertEqual(reply.kv["kept"], reply.usage.prompt_tokens // 4)
        self.assertEqual(reply.kv["cells"], reply.kv["kept"] + reply.usage.completion_tokens - 1)
        self.assertEqual((reply.kv["method"], reply.kv["keep"]), ("snapkv", "25%"))
        self.assertLess(reply.kv["bytes"], reply.kv["full_bytes"] / 2)
        self.assertIsNone(reply.kv["reread_reason"])

    def test_a_second_turn_goes_on_from_the_compressed_cache(self):
        first = self.chat("A second turn. " + DOCUMENT, extra_body={"kv": KEEP})
        messages = [
            *said("A second turn. " + DOCUMENT),
            {"role": "assistant", "content": first.choices[0].message.content},
            *said("And what does he sell?"),
        ]
        second = self.chat(messages, extra_body={"kv": KEEP})
        self.assertIsNone(second.kv["reread_reason"])
        self.assertGreaterEqual(second.kv["reused"], first.usage.prompt_tokens)
        self.assertEqual(second.kv["reused"] + second.kv["read"], second.usage.prompt_tokens)
        self.assertEqual(second.usage.prompt_tokens_details.cached_tokens, second.kv["reused"])
        other = self.chat(messages, extra_body={"kv": {**KEEP, "method": "knorm"}})
        self.assertIn("compressed by", other.kv["reread_reason"])

    def test_a_source_is_read_once_for_several_questions(self):
        kv = {**KEEP, "source": True}
        replies = [
            self.chat(f"A source. {TEXT * 5}\n\n{question}", extra_body={"kv": kv}, max_tokens=2)
            for question in (QUESTION, "How many pupils has the school?")
        ]
        self.assertGreater(replies[1].kv["reused"], 256)
        self.assertEqual(replies[1].kv["kept"], replies[1].usage.prompt_tokens // 4)

    def test_a_prompt_longer_than_its_cells_is_read_in_pieces(self):
        reply = self.chat("In pieces. " + DOCUMENT, extra_body={"kv": {**KEEP, "keep": 128, "cells": 320}}, max_tokens=2)
        self.assertGreater(reply.usage.prompt_tokens, 320)
        self.assertLessEqual(reply.kv["cells"], 320)
        self.assertLessEqual(reply.kv["kept"], 160)

    def test_two_answers_at_once(self):
        alone = [self.chat(f"{name} is a bird. What is it?") for name in ("Wren", "Crow")]
        together = [None, None]

        def ask(i, name):
            together[i] = self.chat(f"{name} is a bird. What is it?")

        threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(("Wren", "Crow"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([r.usage.completion_tokens for r in together], [r.usage.completion_tokens for r in alone])
        self.assertEqual(len({r.kv["slot"] for r in together}), 2)


unittest.main()
