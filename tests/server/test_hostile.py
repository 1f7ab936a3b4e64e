"""Requests that no client means well: each gets an error of its own or an answer, and the server lives on."""

import json
import os
import pathlib
import socket
import tempfile
import time
import unittest

from running_server import PATIENCE, Server
from command import MODEL, chunkkv

ASKED = [{"role": "user", "content": "hi"}]
# A body that each path answers, with one token.
BODIES = {
    "/completion": {"prompt": "hi", "n_predict": 1},
    "/v1/completions": {"prompt": "hi", "max_tokens": 1},
    "/v1/chat/completions": {"messages": ASKED, "max_tokens": 1},
    "/v1/responses": {"input": "hi", "max_output_tokens": 1},
    "/v1/messages": {"messages": ASKED, "max_tokens": 1},
}
FIELDS = """
    n_predict max_tokens max_completion_tokens n n_cmpl n_keep n_indent id_slot t_max_predict_ms top_k top_p min_p
    top_n_sigma xtc_probability xtc_threshold typical_p temperature dynatemp_range repeat_last_n repeat_penalty
    frequency_penalty presence_penalty dry_multiplier dry_base dry_allowed_length dry_penalty_last_n
    dry_sequence_breakers mirostat mirostat_tau seed n_probs logprobs top_logprobs min_keep samplers grammar
    grammar_lazy grammar_triggers preserved_tokens json_schema response_format logit_bias ignore_eos stop stream
    stream_options cache_prompt return_tokens timings_per_token post_sampling_probs sse_ping_interval response_fields
    model user lora adaptive_target backend_sampling chat_format chat_parser generation_prompt reasoning_format
    reasoning_budget_tokens reasoning_control parallel_tool_calls tools tool_choice functions chat_template_kwargs
    add_generation_prompt reasoning_effort thinking continue_final_message echo best_of suffix kv system metadata
    verbose
""".split()
VALUES = [None, [], {}, "", "NaN", "-inf", -1, 0, 2**31, -(2**63), 1e300, 0.5, True, [None], [{}], {"a": {}}]
# Where a field's value is a length, the answer ends all the same.
SHORT = {"t_max_predict_ms": 1}

USES_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def tool(parameters=None, **function):
    return {"type": "function", "function": {"name": "f", "parameters": parameters or {"type": "object"}, **function}}


def chat_with(schema):
    return {**BODIES["/v1/chat/completions"], "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.save_path = pathlib.Path(cls.folder.name) / "prompts"
        cls.save_path.mkdir()
        cls.server = Server(
            "-c", 1024, "--parallel", 2, "--timeout", 3, "--max-body", 2_000_000, "--slot-save-path", cls.save_path,
            "--method", "full",
        )  # fmt: skip
        cls.addClassCleanup(cls.server.kill)

    def tearDown(self):
        self.assertTrue(self.server.is_alive(), self.server.said()[-2000:])
        self.server.wait_until_idle()
        reply = self.server.post("/completion", {"prompt": "The harbour", "n_predict": 2, "temperature": 0})
        self.assertEqual(reply.status, 200, reply.body)
        self.assertEqual(reply.json()["tokens_predicted"], 2)

    def check(self, reply, context):
        """No fault of the server's own, and an error that says what is wrong."""
        self.assertLess(reply.status, 500, (context, reply.body[:500]))
        if reply.status >= 400:
            error = reply.json()["error"]
            self.assertTrue(error["message"], context)

    def post(self, path, body):
        reply = self.server.post(path, body)
        self.check(reply, (path, str(body)[:300]))
        return reply

    def refuse(self, path, body, says=""):
        reply = self.post(path, body)
        self.assertGreaterEqual(reply.status, 400, (path, str(body)[:300], reply.body[:300]))
        self.assertIn(says, reply.message())

    # Bodies

    def test_no_json_object(self):
        for body in ["", "{", "[]", '"x"', "1", "null", "{'a': 1}", '{"prompt": }', "\0", '{"prompt": "a"} {}']:
            for path in [*BODIES, "/tokenize", "/detokenize", "/apply-template", "/v1/messages/count_tokens"]:
                self.refuse(path, body)

    def test_deep_nesting(self):
        for body in ["[" * 100_000, '{"a":' * 100_000, '{"prompt": ' + "[" * 1000 + "]" * 1000 + "}"]:
            for path in [*BODIES, "/tokenize"]:
                self.refuse(path, body, "nests")

    def test_numbers_without_bounds(self):
        for number in ["1e999", "-1e999", str(2**70), "NaN", "Infinity", "0x10", "1" * 5000]:
            self.post("/completion", '{"prompt": "hi", "n_predict": 1, "seed": %s}' % number)
            self.refuse("/completion", '{"prompt": "hi", "n_predict": 1, "top_k": 1, "n_predict": %s}' % number)

    def test_texts_that_are_none(self):
        for text in [b'"\xff\xfe"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xed\xa0\x80"', b'"\xc0\x80"']:
            self.refuse("/completion", b'{"n_predict": 1, "prompt": %s}' % text)
            self.refuse("/tokenize", b'{"content": %s}' % text)
        self.assertEqual(self.post("/completion", b'{"n_predict": 1, "prompt": "a\\u0000b"}').status, 200)

    def test_every_field_of_a_wrong_type(self):
        for path in ["/completion", "/v1/chat/completions"]:
            for field in FIELDS:
                for value in VALUES:
                    self.post(path, {**BODIES[path], **SHORT, field: value})

    def test_prompts_that_are_none(self):
        for prompt in [None, "", [], {}, 5, True, [None], [[]], [""], ["", ""], [-1], [10**9], [1.5], [1e300], [True], [["a"], 5]]:
            self.refuse("/completion", {"prompt": prompt, "n_predict": 1})
        self.refuse("/completion", {"n_predict": 1}, "prompt")

    def test_tokens_that_are_none(self):
        for token in [-1, 10**9, 2**32 + 5, 2**70, 1.5]:
            self.refuse("/v1/completions", {"prompt": [token], "max_tokens": 1}, "no token")
            self.refuse("/v1/completions", {"prompt": [[3], ["a", token]], "max_tokens": 1}, "no token")
            self.refuse("/tokenize", {"content": ["a", token]}, "no token")
            self.refuse("/detokenize", {"tokens": [token]}, "no token")
        for tokens in ["x", {}, [None], 5, ["a"]]:
            self.refuse("/detokenize", {"tokens": tokens}, "'tokens' is a list")
        for content in [{}, None, 5, True, [{}], ["a", ["b"]]]:
            self.refuse("/tokenize", {"content": content}, "a text, or a list")
        for flag in ["add_special", "add_special_tokens", "parse_special", "with_pieces"]:
            self.refuse("/tokenize", {"content": "a", flag: "yes"}, f"'{flag}' is true or false")

    def test_an_error_names_the_wrong_field(self):
        self.refuse("/v1/completions", {"prompt": "hi", "n": 0}, "'n'")

    def test_images(self):
        data = "data:image/png;base64,AAAA"
        parts = {
            "/v1/chat/completions": {"type": "image_url", "image_url": {"url": data}},
            "/v1/messages": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        }
        for path, part in parts.items():
            body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, part]}], "max_tokens": 1}
            self.refuse(path, body)
        self.refuse("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": data}]}]})
        self.refuse("/v1/messages", {"messages": [{"role": "user", "content": [{"type": "image"}]}], "max_tokens": 1}, "text only")

    def test_messages_that_are_none(self):
        wrong = [
            None, [], {}, "x", 5, [None], [5], ["x"], [{}], [{"role": "user"}], [{"content": "x"}], [{"role": 5, "content": "x"}],
            [{"role": "user", "content": 5}], [{"role": "user", "content": {}}], [{"role": "user", "content": [None]}],
            [{"role": "user", "content": [{"type": "nope"}]}],
        ]  # fmt: skip
        for messages in wrong:
            self.refuse("/v1/chat/completions", {"messages": messages, "max_tokens": 1})
            self.refuse("/v1/messages", {"messages": messages, "max_tokens": 1})
        odd = [
            [{"role": "alien", "content": "x"}], [{"role": "system", "content": "x"}], [{"role": "assistant", "content": "x"}],
            [{"role": "tool", "content": "x"}], [{"role": "assistant", "tool_calls": [{}]}],
            [{"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{"}}]}],
            [{"role": "user", "content": "<|im_start|>" * 5}],
        ]  # fmt: skip
        for messages in odd:
            self.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1})

    def test_tools_and_kwargs(self):
        chat, path = BODIES["/v1/chat/completions"], "/v1/chat/completions"
        for tools in [{}, "x", [None], [5], [{}], [{"type": "function", "function": None}], [tool(name="")], [tool(name="x" * 10_000)]]:
            self.refuse(path, {**chat, "tools": tools})
        for parameters in ["x", [1], {"$ref": "#"}, {"type": "object", "properties": 5}]:
            self.post(path, {**chat, "tools": [tool(parameters)]})
        self.post(path, {**chat, "tools": [tool(name='"\n\\x root ::= [')]})
        for choice in [5, "nope", {"type": "function", "function": {"name": "none"}}]:
            self.post(path, {**chat, "tools": [USES_TOOL], "tool_choice": choice})
        for kwargs in [5, [1], "{", {"messages": [], "tools": 3}, {"x" * 100_000: None}]:
            self.post(path, {**chat, "chat_template_kwargs": kwargs})

    def test_fields_that_only_the_server_knows(self):
        for field, value in {
            "chat_parser": '{"parsers": [{"type": "rule", "child": 7}]}', "chat_format": 99, "generation_prompt": "x",
            "grammar_triggers": [{"type": 2, "value": "(a+)+$"}], "preserved_tokens": ["x"],
        }.items():  # fmt: skip
            self.refuse("/v1/chat/completions", {**BODIES["/v1/chat/completions"], field: value}, field)

    # Numbers that are allowed, and lead to nothing

    def test_sampling_at_its_limits(self):
        extremes = [
            {"temperature": 0}, {"temperature": 1e30}, {"temperature": 1e-30}, {"top_k": 2**31 - 1}, {"top_p": 0}, {"top_p": 1e-30},
            {"min_p": 1}, {"typical_p": 0}, {"top_n_sigma": 1e-30}, {"xtc_probability": 1, "xtc_threshold": 0},
            {"mirostat": 1, "mirostat_tau": 0}, {"mirostat": 2, "mirostat_tau": 1e30, "mirostat_eta": 1e30}, {"mirostat": 3},
            {"repeat_penalty": 1e30}, {"frequency_penalty": 1e30}, {"repeat_last_n": 2**31 - 1, "repeat_penalty": 1.1},
            {"dry_multiplier": 1e30, "dry_base": 1e30, "dry_penalty_last_n": 2**31 - 1}, {"dynatemp_range": 1e30, "dynatemp_exponent": 1e30},
            {"samplers": []}, {"samplers": ["top_k"], "top_k": 0}, {"samplers": ["nope"]}, {"min_keep": 2**31 - 1},
            {"logit_bias": {"5": 1e300}}, {"logit_bias": [[5, -1e300]]}, {"logit_bias": [[10**9, 1], [-1, 1], ["", 1]]},
            {"logit_bias": [[token, False] for token in range(49152)]}, {"logit_bias": [[5, 1e300], [6, 1e300]]},
            {"logit_bias": [[token, -1e300] for token in range(49152)], "mirostat": 2},
            {"logit_bias": [[token, False] for token in range(49152)], "grammar": 'root ::= "a"'},
            {"adaptive_target": 1, "samplers": ["adaptive_p"]}, {"n_probs": 1000}, {"n_probs": 10, "post_sampling_probs": True},
        ]  # fmt: skip
        for extreme in extremes:
            self.post("/completion", {"prompt": "hi", "n_predict": 3, **extreme})

    def test_what_would_take_seconds_a_token(self):
        for much in [
            {"samplers": ["infill"]}, {"samplers": "i"}, {"n_probs": 2**31 - 1}, {"stop": [str(i) for i in range(10_000)]},
            {"stop": "x" * 100_000}, {"dry_sequence_breakers": ["x"] * 10_000, "dry_multiplier": 1},
        ]:  # fmt: skip
            self.refuse("/completion", {"prompt": "hi", "n_predict": 1, **much})

    def test_lengths(self):
        for n_predict in [0, 1]:
            self.assertEqual(self.post("/completion", {"prompt": "hi", "n_predict": n_predict}).status, 200)
        self.refuse("/completion", {"prompt": "hi", "n_predict": -5})
        # Ends with the cells, or by the time that is given.
        self.post("/completion", {"prompt": "hi", "n_predict": 2**31 - 1, "t_max_predict_ms": 200, "ignore_eos": True})
        for n in [0, -1, 1000, 2**31 - 1]:
            self.refuse("/v1/chat/completions", {**BODIES["/v1/chat/completions"], "n": n})
        self.refuse("/completion", {"prompt": ["a"] * 2000, "n_predict": 1}, "answers at most")
        self.refuse("/completion", {"prompt": "word " * 5000, "n_predict": 1})
        self.refuse("/completion", {"prompt": "word " * 200_000, "n_predict": 1})
        self.assertEqual(self.server.post("/completion", '{"prompt": "%s"}' % ("x" * 3_000_000)).status, 413)

    def test_kv_settings(self):
        for kv in [
            [], "x", 5, True, {"nope": 1}, {"method": 5}, {"method": "nope"}, {"method": "chunkkv:"}, {"keep": "x"}, {"keep": -1},
            {"keep": "1e999%"}, {"cells": -1}, {"cells": 2**70}, {"cells": 1.5}, {"cells": "1"}, {"protect": "all"}, {"source": 1},
            {"keep_at_least": -1}, {"name": "../x"}, {"name": "x\0y"}, {"name": ""}, {"name": 5}, {"name": "x" * 300},
        ]:  # fmt: skip
            self.refuse("/completion", {"prompt": "hi", "n_predict": 1, "kv": kv})
        for kv in [{"cells": 1, "method": "chunkkv"}, {"keep": 1, "method": "chunkkv", "keep_at_least": 0}, {"protect": 2**24}]:
            self.post("/completion", {"prompt": "word " * 100, "n_predict": 2, "kv": kv})

    # Grammars

    def test_grammars_that_are_none(self):
        for grammar in [
            "x", "root ::=", 'root ::= "a', "root ::= [", "root ::= nothing", 'x ::= "a"', "root ::= [z-a]", 'root ::= "\\',
            'root ::= root "a" | "b"', 'root ::= a\na ::= b "x"\nb ::= "c"? a', 'root ::= ("")* "a"', 'root ::= "a"{5,2}',
            'root ::= "x"{99999999999999999999}', 'root ::= "a\0" "b"', '%llguidance {}\nstart: "a"', "root ::= <[99999999]>",
            "(" * 100, "root ::= " + "." * 5000,
        ]:  # fmt: skip
            self.post("/completion", {"prompt": "hi", "n_predict": 2, "grammar": grammar})

    def test_grammars_that_explode(self):
        for grammar in [
            "root ::= " + "(" * 500_000 + '"a"' + ")" * 500_000,
            'root ::= ((("x"){1000}){1000}){1000}',
            'root ::= ((("a"?){100} "b"?){100})? "c"',
            "root ::= x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x\nx ::= " + "|".join(["[a-z]?"] * 50),
            "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1} r{i + 1}\n" for i in range(40)) + 'r40 ::= "a"?\n',
            "root ::= r0\n" + "".join(f'r{i} ::= r{i + 1} | r{i + 1} "x"\n' for i in range(40)) + "r40 ::= [a-z]\n",
            "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1}\n" for i in range(50_000)) + 'r50000 ::= "a"\n',
            "root ::= " + " | ".join(f'"{i}" root' for i in range(20_000)),
            "root ::= [" + "".join(chr(0x4E00 + i) for i in range(20_000)) + "]*",
            'root ::= "' + "a" * 1_500_000 + '"',
        ]:
            self.refuse("/completion", {"prompt": "hi", "n_predict": 2, "grammar": grammar}, "grammar")
        for grammar in [
            'root ::= ("x"{30}){30}', 'root ::= ("a"|"a")("a"|"a")("a"|"a")("a"|"a")', 'root ::= (("a"*)*)*', 'root ::= ("a"?){50} "b"',
            'root ::= s\ns ::= "a" s | "a" s s | "a"?', "root ::= " + "(" * 100 + '"a"' + ")" * 100,
        ]:  # fmt: skip
            self.post("/completion", {"prompt": "hi", "n_predict": 2, "grammar": grammar})

    def test_schemas(self):
        deep = {"type": "string"}
        for _ in range(80):
            deep = {"type": "array", "items": deep}
        for schema in [
            None, "x", [1], {"$ref": "#"}, {"$ref": "#/a"}, {"$ref": "https://127.0.0.1:1/x"}, {"$ref": 5},
            {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, {"anyOf": []}, {"enum": []},
            {"enum": 5}, {"type": {"a": 1}}, {"type": ["string", 5]}, {"required": 5}, {"type": "string", "minLength": "x"}, deep,
            {"type": "string", "minLength": 10**6, "maxLength": 2**62}, {"type": "integer", "minimum": 5, "maximum": -5},
            {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, {"type": "integer", "minimum": 1e300},
            {"type": "array", "items": {"type": "array", "items": {"type": "string"}, "maxItems": 1000}, "maxItems": 1000},
            {"const": '\0"\n::= '}, {"type": "object", "properties": {'"\n root ::= ': {"type": "string"}}, "required": ['"\n root ::= ']},
            *({"type": "string", "pattern": pattern} for pattern in [
                "^(((a+)+)+)+$", "^(a{1000}){1000}$", "^" + "(a|b|" * 1000, "^[a-$", "^a{" + "9" * 50 + "}$", "^\\", "^(?=a)\\1$", "",
                "^" + "(" * 50_000 + "a" + ")" * 50_000 + "$",
            ]),
        ]:  # fmt: skip
            self.post("/v1/chat/completions", chat_with(schema))
        for schema in [
            {"type": "object", "properties": {f"k{i}": {"type": "string"} for i in range(3000)}},
            {"enum": [f"v{i}" for i in range(5000)]},
            {"anyOf": [{"type": "string", "maxLength": i} for i in range(2000)]},
        ]:
            self.refuse("/completion", {**BODIES["/completion"], "json_schema": schema})

    # Files

    def test_names_of_saved_prompts(self):
        slot = self.post("/completion", {"prompt": "The harbour", "n_predict": 1}).json()["id_slot"]
        for name in [
            "../x", "/etc/passwd", "a/b", "a\\b", "", ".", "..", ".x", "x\0y", "x" * 300, "x y", "ä", "%2e%2e%2fx", "x\n", "$HOME", 5, None,
            [], {},
        ]:  # fmt: skip
            for action in ["save", "restore"]:
                self.refuse(f"/slots/{slot}?action={action}", {"filename": name})
        for body in ["", "[]", "{}", '{"filename"']:
            self.refuse(f"/slots/{slot}?action=save", body)
        self.refuse(f"/slots/{slot}?action=restore", {"filename": "never-saved"})
        (self.save_path / "junk").write_bytes(os.urandom(1000))
        (self.save_path / "short").write_bytes(b"")
        for name in ["junk", "short"]:
            reply = self.server.post(f"/slots/{slot}?action=restore", {"filename": name})
            self.assertEqual(reply.status, 400, reply.body)
        self.assertEqual({path.name for path in self.save_path.iterdir()}, {"junk", "short"})
        self.assertEqual([path.name for path in pathlib.Path(self.folder.name).iterdir()], ["prompts"])
        reply = self.server.post(f"/slots/{slot}?action=save", {"filename": "fine-1.2_3"})
        self.assertEqual(reply.status, 200, reply.body)
        self.assertTrue((self.save_path / "fine-1.2_3").is_file())

    def test_slots_that_are_none(self):
        for slot in ["-1", "99999", "x", "1e3", str(2**70), "", "%00", "0x1"]:
            for action in ["erase", "save", "nope", ""]:
                self.refuse(f"/slots/{slot}?action={action}", {"filename": "x"})
            self.assertIn(self.server.get(f"/slots/{slot}/kept").status, [400, 404])
        for layer in ["-1", "x", "99999", str(2**70), ""]:
            self.assertEqual(self.server.get(f"/slots/0/kept?layer={layer}").status, 400)

    # HTTP

    def test_paths_and_methods(self):
        for path in ["/nothing", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1//chat/completions", "/" + "x" * 5000, "/\xff"]:
            self.assertIn(self.server.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"), ends=True), [400, 404, 414])
        for method in ["GET", "PUT", "DELETE", "PATCH"]:
            for path in ["/completion", "/v1/messages", "/tokenize", "/slots/0"]:
                reply = self.server.request(method, path, "{}")
                self.assertEqual((reply.status, reply.headers["Allow"]), (405, "POST"), path)
        for method in ["POST", "PUT", "DELETE", "PATCH"]:
            for path in ["/health", "/v1/models", "/slots", "/slots/0/kept"]:
                reply = self.server.request(method, path, "{}")
                self.assertEqual((reply.status, reply.headers["Allow"]), (405, "GET"), path)
                self.assertIn(path, reply.message())
        for line in ["BREW / HTTP/1.1", "GET /", "GET / HTTP/9.9", "GET", "\0\0\0", "x" * 100_000]:
            self.assertIn(self.server.raw(f"{line}\r\n\r\n".encode(), ends=True), [None, 400, 404, 405, 414, 431, 505])

    def test_headers(self):
        start = b"POST /completion HTTP/1.1\r\nHost: x\r\n"
        body = json.dumps(BODIES["/completion"]).encode()
        length = b"Content-Length: %d\r\n" % len(body)
        refused = [None, 400, 411, 413, 431]
        for headers in [
            b"X: " + b"y" * 1_000_000 + b"\r\n" + length, b"".join(b"X%d: y\r\n" % i for i in range(10_000)) + length,
            b"Content-Length: -5\r\n", b"Content-Length: x\r\n", b"Content-Length: %d\r\n" % 2**70, length + b"Content-Length: 3\r\n",
            b"no colon\r\n" + length + b"\0: x\r\n",
        ]:  # fmt: skip
            self.assertIn(self.server.raw(start + headers + b"\r\n" + body, ends=True), refused, headers[:100])
        # Less than the body's length is a body that is no JSON.
        self.assertIn(self.server.raw(start + b"Content-Length: 5\r\n\r\n" + body, ends=True), refused)

    def test_requests_without_end(self):
        """The server gives up on them after --timeout, and they take no one's place until then."""
        starts = [
            b"POST /completion HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
            b"POST /completion HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":",
            b"POST /completion HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{",
            b"POST /completion HTTP/1.1\r\nHost",
            b"",
        ]
        connections = []
        for start in starts * 4:
            connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE)
            self.addCleanup(connection.close)
            connection.sendall(start)
            connections.append(connection)
        self.assertEqual(self.post("/completion", BODIES["/completion"]).status, 200)
        begin = time.monotonic()
        for connection in connections:
            received = b""
            try:
                while part := connection.recv(65536):
                    received += part
            except ConnectionError:
                pass
            self.assertNotIn(b" 200 ", received[:20])
        self.assertLess(time.monotonic() - begin, PATIENCE)

    def test_a_body_in_chunks(self):
        body = json.dumps(BODIES["/completion"]).encode()
        chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body))) + b"0\r\n\r\n"
        start = b"POST /completion HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertEqual(self.server.raw(start + chunks), 200)
        big = b"POST /completion HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n300000\r\n" + b"x" * 0x300000 + b"\r\n0\r\n\r\n"
        self.assertIn(self.server.raw(big), [None, 400, 413])


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("-c", 512, "--parallel", 1, "--api-key", "right-key,second")
        cls.addClassCleanup(cls.server.kill)

    def test_a_second_server_does_not_share_the_port(self):
        second = chunkkv("serve", "-m", MODEL, "-c", 512, "--port", self.server.port, timeout=PATIENCE)
        self.assertEqual(second.returncode, 1)
        self.assertIn("the port is in use", second.stderr)

    def test_keys(self):
        for header in [
            {}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "right-key"},
            {"Authorization": "Bearer right-ke"}, {"Authorization": "Bearer right-key2"}, {"Authorization": "Bearer right-key,second"},
            {"x-api-key": ""}, {"x-api-key": "right-key " * 100}, {"Authorization": "Basic cmlnaHQta2V5"},
        ]:  # fmt: skip
            for path, body in BODIES.items():
                self.assertEqual(self.server.post(path, body, headers=header).status, 401, header)
            for path in ["/slots", "/slots/0/kept", "/metrics", "/props"]:
                self.assertEqual(self.server.get(path, headers=header).status, 401, header)
            self.assertEqual(self.server.post("/slots/0?action=erase", {}, headers=header).status, 401)
        for header in [{"Authorization": "Bearer right-key"}, {"x-api-key": "second"}]:
            self.assertEqual(self.server.post("/completion", BODIES["/completion"], headers=header).status, 200)
        self.assertEqual(self.server.get("/health").status, 200)


if __name__ == "__main__":
    unittest.main()
