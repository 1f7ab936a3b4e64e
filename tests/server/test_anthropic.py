"""`chunkkv serve` as Anthropic's own client sees it."""

import unittest

from served import CALLS, CITY, DOCUMENT, KEEP, KEY, Served, need, said

need("anthropic")

import anthropic

from command import FULL_MODEL, QUESTION, TEXT, run_json

TOOLS = [
    {
        "name": name,
        "description": f"Tells the {name}",
        "input_schema": CITY,
    }
    for name in ("weather", "time")
]

ANY = {"type": "any", "disable_parallel_tool_use": True}


def setUpModule():
    Case.server = Served("-c", 2048, "-ub", 128, "-np", 2, "--alias", "little")
    Case.client = anthropic.Anthropic(base_url=Case.server.url, api_key=KEY, max_retries=0, timeout=300)


def tearDownModule():
    Case.client.close()
    Case.server.end()


class Case(unittest.TestCase):
    def settings(self, messages, options):
        messages = said(messages) if isinstance(messages, str) else messages
        extra = {"temperature": 0} | options.pop("extra_body", {})
        return {"model": "little", "max_tokens": 8, "messages": messages, **options, "extra_body": extra}

    def ask(self, messages, **options):
        return self.client.messages.create(**self.settings(messages, options))

    def stream(self, messages, **options):
        return self.client.messages.stream(**self.settings(messages, options))


class Messages(Case):
    def test_a_reply_has_what_the_client_promises(self):
        reply = self.ask("Say hello.")
        self.assertTrue(reply.id.startswith("msg_"), reply.id)
        self.assertEqual((reply.type, reply.role, reply.model), ("message", "assistant", "little"))
        self.assertEqual((reply.stop_reason, reply.stop_sequence), ("max_tokens", None))
        self.assertEqual([block.type for block in reply.content], ["text"])
        self.assertEqual(reply.usage.output_tokens, 8)
        type(reply).model_validate(reply.to_dict())  # strictly: everything that is required is there

    def test_the_seed_decides(self):
        def answer(seed):
            return self.ask("Tell a story.", max_tokens=12, extra_body={"temperature": 1.5, "seed": seed}).content[0].text

        answer(5)  # is read here
        self.assertEqual(answer(5), answer(5))
        self.assertNotEqual(answer(5), answer(6))

    def test_tokens_are_counted_as_they_are_read(self):
        messages, system = said("Name a river."), "Be brief."
        count = self.client.messages.count_tokens(model="little", messages=messages, system=system).input_tokens
        for _ in range(2):
            usage = self.ask(messages, system=system).usage
            self.assertEqual(usage.input_tokens + usage.cache_read_input_tokens, count)
        self.assertGreaterEqual(usage.cache_read_input_tokens, count - 1)
        self.assertGreater(count, self.client.messages.count_tokens(model="little", messages=messages[:1]).input_tokens - 20)

    def test_why_an_answer_ends(self):
        done = self.ask("Reply with the single word: yes", max_tokens=40)
        self.assertEqual((done.stop_reason, done.stop_sequence), ("end_turn", None))
        text = self.ask("Say hello.").content[0].text
        word = text.split()[2]
        cut = self.ask("Say hello.", stop_sequences=["not there", word])
        self.assertEqual((cut.stop_reason, cut.stop_sequence), ("stop_sequence", word))
        self.assertEqual(cut.content[0].text, text[: text.index(word)])
        with self.stream("Say hello.", stop_sequences=[word]) as stream:
            last = stream.get_final_message()
        self.assertEqual((last.stop_reason, last.stop_sequence), ("stop_sequence", word))

    def test_a_beginning_of_the_answer_may_be_given(self):
        beginning = {"role": "assistant", "content": "The capital of France is"}
        reply = self.ask([*said("What is the capital of France?"), beginning], max_tokens=3)
        self.assertIn("Paris", reply.content[0].text)

    def test_blocks_of_text_and_a_system_message_of_blocks(self):
        text = [{"type": "text", "text": "Say hello.", "cache_control": {"type": "ephemeral"}}]
        same = self.ask([{"role": "user", "content": text}], system=[{"type": "text", "text": "Be brief."}])
        self.assertEqual(same.content[0].text, self.ask("Say hello.", system="Be brief.").content[0].text)


class Streams(Case):
    def test_build_the_whole_reply(self):
        self.ask("Say hello.")
        whole = self.ask("Say hello.")
        with self.stream("Say hello.") as stream:
            events = list(stream)
            last = stream.get_final_message()
        self.assertEqual("".join(event.text for event in events if event.type == "text"), whole.content[0].text)
        kinds = [event.type for event in events if event.type not in ("text", "content_block_delta")]
        self.assertEqual(kinds, ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"])
        self.assertEqual(last.content[0].text, whole.content[0].text)
        self.assertEqual((last.stop_reason, last.stop_sequence), ("max_tokens", None))
        for name in ("input_tokens", "cache_read_input_tokens", "output_tokens"):
            self.assertEqual(getattr(last.usage, name), getattr(whole.usage, name), name)
        start = events[0].message.usage
        for name in ("input_tokens", "cache_read_input_tokens"):
            self.assertEqual(getattr(start, name), getattr(whole.usage, name), name)
        type(last).model_validate(last.to_dict())

    def test_tell_what_is_kept(self):
        with self.client.messages.create(**self.settings("Say hello.", {}), stream=True) as stream:
            told = [event.kv for event in stream if event.type == "message_delta"]
        self.assertGreater(told[0]["kept"], 0)

    def test_a_client_that_goes_frees_its_cells(self):
        with self.stream("Count from one to one thousand. " * 20, max_tokens=1000) as stream:
            next(iter(stream))
            self.assertEqual(len(self.server.busy()), 1)
        self.server.until(lambda: not self.server.busy())


class Tools(Case):
    def test_a_call_has_the_shape_of_its_schema(self):
        reply = self.ask(CALLS, tools=TOOLS, tool_choice=ANY, max_tokens=60)
        self.assertIn(reply.stop_reason, ("tool_use", "max_tokens"))
        call, *_ = [block for block in reply.content if block.type == "tool_use"]
        self.assertTrue(call.id)
        self.assertIn(call.name, ("weather", "time"))
        self.assertIn(call.input["city"], ("Bergen", "Oslo"))
        type(reply).model_validate(reply.to_dict())

    def test_the_function_may_be_named(self):
        for name in ("weather", "time"):
            choose = {"type": "tool", "name": name, "disable_parallel_tool_use": True}
            reply = self.ask(CALLS, tools=TOOLS, tool_choice=choose, max_tokens=60)
            self.assertEqual({block.name for block in reply.content if block.type == "tool_use"}, {name})

    def test_a_stream_has_the_same_call(self):
        options = {"tools": TOOLS, "tool_choice": ANY, "max_tokens": 60}
        whole, *_ = [block for block in self.ask(CALLS, **options).content if block.type == "tool_use"]
        with self.stream(CALLS, **options) as stream:
            last = stream.get_final_message()
        call, *_ = [block for block in last.content if block.type == "tool_use"]
        self.assertEqual((call.name, call.input), (whole.name, whole.input))
        self.assertIn(last.stop_reason, ("tool_use", "max_tokens"))

    def test_a_result_is_taken_back(self):
        messages = [
            *said("Weather in Bergen?"),
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bergen"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "It rains."}]},
        ]
        reply = self.ask(messages, tools=TOOLS, tool_choice={"type": "none"})
        self.assertEqual([block.type for block in reply.content], ["text"])


class Errors(Case):
    def assert_refused(self, error, kind, words, act):
        with self.assertRaises(error) as caught:
            act()
        body = caught.exception.body
        self.assertEqual((body["type"], set(body["error"])), ("error", {"type", "message"}))
        self.assertEqual(body["error"]["type"], kind)
        self.assertIn(words, body["error"]["message"])

    def test_wrong_requests(self):
        for words, act in (
            ("messages", lambda: self.ask([])),
            ("kv has no 'colour'", lambda: self.ask("Hi", extra_body={"kv": {"colour": "red"}})),
            ("there is no function 'news'", lambda: self.ask("Hi", tools=TOOLS, tool_choice={"type": "tool", "name": "news"})),
            ("cells", lambda: self.ask("word " * 3000, extra_body={"kv": {"method": "full"}})),
        ):
            self.assert_refused(anthropic.BadRequestError, "invalid_request_error", words, act)

    def test_a_wrong_key(self):
        with anthropic.Anthropic(base_url=self.server.url, api_key="another", max_retries=0) as client:
            act = lambda: client.messages.create(model="little", max_tokens=1, messages=said("Hi"))
            self.assert_refused(anthropic.AuthenticationError, "authentication_error", "API key", act)

    def test_the_key_may_be_a_bearers(self):
        with anthropic.Anthropic(base_url=self.server.url, auth_token=KEY, api_key=None, max_retries=0) as client:
            self.assertTrue(client.messages.create(model="little", max_tokens=1, messages=said("Hi")).content)

    def test_what_is_not_there(self):
        act = lambda: self.client.post("/v1/messages/batches/messages", body={}, cast_to=object)
        self.assert_refused(anthropic.NotFoundError, "not_found_error", "nothing", act)


class Cache(Case):
    @classmethod
    def setUpClass(cls):
        """The answer to a prompt of which the server knows no beginning."""
        for slot in cls.server.request("/slots")[1]:
            cls.server.request(f"/slots/{slot['id']}?action=erase", {})
        cls.first = cls.client.messages.create(**cls.settings(cls, DOCUMENT, {"max_tokens": 16, "extra_body": {"kv": KEEP}}))

    def test_fresh_prompts_are_answered_as_by_run(self):
        flags = ("--method", "snapkv", "--keep", "25%", "--keep-at-least", 0, "-ub", 128)
        ran = run_json("-p", TEXT * 3, "-q", QUESTION, "-n", 16, *flags, model=FULL_MODEL)
        self.assertEqual(self.first.usage.input_tokens, ran["prompt_tokens"])
        self.assertEqual((self.first.kv["reused"], self.first.kv["kept"]), (0, ran["kept_tokens"]))
        self.assertEqual(self.first.content[0].text, ran["answer"])

    def test_a_second_turn_goes_on_from_the_compressed_cache(self):
        turns = [*said(DOCUMENT), {"role": "assistant", "content": self.first.content}, *said("And what does he sell?")]
        second = self.ask(turns, extra_body={"kv": KEEP})
        self.assertIsNone(second.kv["reread_reason"])
        self.assertGreaterEqual(second.kv["reused"], self.first.usage.input_tokens)
        self.assertEqual(second.usage.cache_read_input_tokens, second.kv["reused"])


unittest.main()
