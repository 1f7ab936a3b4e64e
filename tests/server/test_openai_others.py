"""`chunkkv serve` as OpenAI's own client sees it: completions and responses."""

import json
import typing
import unittest

from openai_case import TOOLS, Case, end, start
from served import CALLS, said

import openai
import pydantic

setUpModule, tearDownModule = start, end


class Completions(Case):
    def test_texts_and_tokens(self):
        one = self.complete("The sky is")
        self.assertTrue(one.id.startswith("cmpl-"), one.id)
        self.assertEqual((one.object, one.choices[0].finish_reason), ("text_completion", "length"))
        type(one).model_validate(one.to_dict())
        tokens = self.server.request("/tokenize", {"content": "The sky is"})[1]["tokens"]
        several = self.complete(["The sky is", "My name is"])
        self.assertEqual([choice.index for choice in several.choices], [0, 1])
        self.assert_counts(several.usage, 6, 8)
        self.assertEqual(len(several.kv_each), 2)
        for same in (self.complete(tokens), several, self.complete([tokens, [504]])):
            self.assertEqual(same.choices[0].text, one.choices[0].text)

    def test_the_tokenizer_is_served_as_vllm_does(self):
        info = self.server.request("/tokenizer_info")[1]
        self.assertEqual((info["bos_token"], info["eos_token"]), ("<|im_start|>", "<|im_end|>"))
        self.assertIn("im_start", info["chat_template"])
        ids = self.server.request("/tokenize", {"prompt": "The sky is<|im_end|>", "add_special_tokens": False})[1]
        self.assertEqual((ids["count"], len(ids["tokens"])), (4, 4))
        text = self.server.request("/detokenize", {"tokens": ids["tokens"][:3]})[1]
        self.assertEqual(text["prompt"], "The sky is")

    def test_several_answers_and_stop(self):
        reply = self.complete("Once upon a time", n=2, temperature=1.2, seed=1, max_tokens=6)
        self.assertNotEqual(*(choice.text for choice in reply.choices))
        self.assert_counts(reply.usage, 4, 12)
        reply = self.complete("One, two, three, four,", stop=[","], max_tokens=12)
        self.assertEqual(reply.choices[0].finish_reason, "stop")
        self.assertNotIn(",", reply.choices[0].text)

    def test_the_prompt_with_its_probabilities(self):
        prompt = "é is a letter, and the sky is blue"
        reply = self.complete(prompt, echo=True, logprobs=2, max_tokens=2).choices[0]
        told = reply.logprobs
        self.assertTrue(reply.text.startswith(prompt))
        self.assertEqual("".join(told.tokens), reply.text)
        self.assertEqual([told.token_logprobs[0], told.top_logprobs[0]], [None, None])
        self.assertEqual(len({len(part) for part in (told.tokens, told.token_logprobs, told.top_logprobs, told.text_offset)}), 1)
        for token, offset in zip(told.tokens, told.text_offset):
            self.assertEqual(reply.text[offset : offset + len(token)], token)
        for value, top in zip(told.token_logprobs[1:], told.top_logprobs[1:]):
            self.assertLessEqual(value, max(top.values()) + 1e-6)
            self.assertEqual(len(top), 2)
        # What is asked about the text afterwards agrees with what was said while it came, but for the rounding of
        # activations: many tokens may be multiplied by other kernels than one.
        after = self.complete(reply.text, echo=True, logprobs=2, max_tokens=0).choices[0]
        self.assertEqual((after.text, after.finish_reason), (reply.text, "length"))
        for one, other in zip(told.token_logprobs[1:], after.logprobs.token_logprobs[1:]):
            self.assertAlmostEqual(one, other, delta=0.25)
        plain = self.complete(prompt, echo=True, max_tokens=2).choices[0]
        self.assertEqual((plain.text, plain.logprobs), (reply.text, None))

    def test_probabilities_without_others(self):
        told = self.complete("The sky is", logprobs=0, max_tokens=2).choices[0].logprobs
        self.assertEqual((len(told.tokens), len(told.token_logprobs)), (2, 2))

    def test_what_would_change_the_answer_is_refused_not_left_out(self):
        for options in ({"suffix": "the end"}, {"best_of": 3}):
            with self.assertRaises(openai.BadRequestError, msg=options):
                self.complete("The sky is", **options)
        self.complete("The sky is", best_of=1, suffix=None, max_tokens=1)


class Responses(Case):
    def respond(self, given, **options):
        options = {"model": "little", "temperature": 0, "max_output_tokens": 8, **options}
        return self.client.responses.create(input=given, **options)

    def test_a_reply_has_what_the_client_promises(self):
        reply = self.respond("Say hello.", instructions="Be brief.")
        self.assertTrue(reply.id.startswith("resp_"))
        self.assertEqual((reply.object, reply.model), ("response", "little"))
        self.assertEqual((reply.status, reply.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        self.assertEqual((reply.output[0].type, reply.output[0].role), ("message", "assistant"))
        self.assertTrue(reply.output_text)
        self.assertEqual(reply.usage.output_tokens, 8)
        self.assertEqual(reply.usage.total_tokens, reply.usage.input_tokens + 8)
        self.assertGreater(reply.kv["kept"], 0)
        type(reply).model_validate(reply.to_dict())
        chat = self.chat([{"role": "system", "content": "Be brief."}, *said("Say hello.")])
        self.assertEqual(reply.output_text, chat.choices[0].message.content)
        done = self.respond("Reply with the single word: yes", max_output_tokens=40)
        self.assertEqual((done.status, done.incomplete_details), ("completed", None))

    def test_a_stream_builds_the_same_reply(self):
        whole = self.respond("Say hello.")
        with self.client.responses.stream(model="little", input="Say hello.", temperature=0, max_output_tokens=8) as stream:
            events = list(stream)
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        self.assertEqual((events[0].type, events[-1].type), ("response.created", "response.incomplete"))
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        self.assertEqual(text, whole.output_text)
        last = events[-1].response
        self.assertEqual((last.output_text, last.usage.output_tokens, last.status), (text, 8, "incomplete"))
        self.assertEqual(len({event.response.id for event in events if hasattr(event, "response")}), 1)

    def test_a_conversation_goes_on(self):
        messages = [*said("Say hello."), {"role": "assistant", "content": "Hello!"}, *said("Say it again.")]
        self.assertTrue(self.respond(messages).output_text)
        with self.assertRaises(openai.BadRequestError):
            self.respond("And now?", previous_response_id="resp_1")

    def test_a_schema_binds_the_answer(self):
        class Place(pydantic.BaseModel):
            city: typing.Literal["Bergen", "Oslo"]  # a text of any length might not end in time

        reply = self.client.responses.parse(
            model="little", input="Where is Bryggen? As JSON.", text_format=Place, temperature=0, max_output_tokens=60
        )
        self.assertIsInstance(reply.output_parsed, Place)

    def test_tools(self):
        tools = [{"type": "function", **tool["function"], "strict": True} for tool in TOOLS]
        messages = [CALLS[0], {"type": "message", **CALLS[1]}]
        options = {"tool_choice": {"type": "function", "name": "time"}, "extra_body": {"logit_bias": {"2": 100}}}
        options |= {"tools": tools, "max_output_tokens": 60}
        reply = self.respond(messages, **options)
        (call,) = reply.output
        self.assertEqual((call.type, call.name, call.status), ("function_call", "time", "completed"))
        self.assertIn(json.loads(call.arguments)["city"], ("Bergen", "Oslo"))
        self.assertEqual(reply.status, "completed")
        type(reply).model_validate(reply.to_dict())
        with self.client.responses.stream(model="little", input=messages, temperature=0, **options) as stream:
            events = list(stream)
        done = [event.item for event in events if event.type == "response.output_item.done"]
        self.assertEqual([item.name for item in done], ["time"])
        parts = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
        self.assertEqual(parts, call.arguments)
        (last,) = [e for e in events if e.type == "response.function_call_arguments.done"]
        self.assertEqual((last.arguments, last.item_id, last.output_index), (call.arguments, done[0].id, 0))


unittest.main()
