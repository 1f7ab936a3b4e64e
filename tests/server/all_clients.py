"""Runs clients against a server, and prints what each did: scripts/clients. A name as argument runs that one."""

import asyncio
import importlib.metadata
import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import time

from served import KEY, Served

from command import BINARY, FULL_MODEL

# Beginnings and what may follow, the right one first.
CHOICES = [
    ("The capital of France is", [" Paris", " Oslo", " a horse"]),
    ("Water freezes at a temperature of zero degrees", [" Celsius", " Monday", " piano"]),
    ("The opposite of hot is", [" cold", " seven", " wooden"]),
    ("The harbour master keeps bees and sells their", [" honey", " granite", " trousers"]),
]
# A log-probability depends on how many tokens are read together, as rounding does.
TOLERANCE = 0.05


def curl(server):
    body = json.dumps({"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4})
    command = ["curl", "-sS", f"{server.url}/v1/chat/completions", "-H", f"Authorization: Bearer {KEY}", "-d", body]
    reply = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert reply["usage"]["completion_tokens"] == 4, reply
    return "a chat"


def openai(server):
    import openai

    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY)
    messages = [{"role": "user", "content": "Say hello."}]
    reply = client.chat.completions.create(
        model="little", messages=messages, max_tokens=8, extra_body={"kv": {"method": "snapkv", "keep": "50%"}}
    )
    assert reply.usage.completion_tokens <= 8 and reply.kv["method"] == "snapkv"
    stream = client.chat.completions.create(model="little", messages=messages, max_tokens=8, stream=True)
    assert any(chunk.choices[0].delta.content for chunk in stream)
    assert client.responses.create(model="little", input="Say hello.", max_output_tokens=8).output_text
    assert client.completions.create(model="little", prompt="The sky is", max_tokens=4).choices[0].text
    return "chat, stream, responses, completions; more in test_openai.py"


def anthropic(server):
    import anthropic

    client = anthropic.Anthropic(base_url=server.url, api_key=KEY)
    messages = [{"role": "user", "content": "Say hello."}]
    reply = client.messages.create(model="little", max_tokens=8, messages=messages)
    assert reply.content[0].text and reply.kv["kept"] > 0
    with client.messages.stream(model="little", max_tokens=8, messages=messages) as stream:
        assert "".join(stream.text_stream)
    return "messages, stream; more in test_anthropic.py"


def langchain_openai(server):
    import pydantic
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_openai import ChatOpenAI

    class Place(pydantic.BaseModel):
        """A place."""

        city: str

    model = ChatOpenAI(base_url=f"{server.url}/v1", api_key=KEY, model="little", temperature=0, max_tokens=40)
    answer = model.invoke("Say hello.")
    assert answer.content and answer.usage_metadata["output_tokens"] > 0
    turns = [HumanMessage("Say hello."), AIMessage(answer.content), HumanMessage("Say it again.")]
    pieces = list(model.stream(turns, stream_usage=True))
    assert "".join(piece.content for piece in pieces)
    assert sum(piece.usage_metadata["output_tokens"] for piece in pieces if piece.usage_metadata) > 0
    assert [len(each.content) > 0 for each in model.batch(["Say yes.", "Say no."])] == [True, True]
    place = model.with_structured_output(Place, method="json_schema").invoke("Where is Bryggen? As JSON.")
    assert isinstance(place, Place), place
    kept = ChatOpenAI(
        base_url=f"{server.url}/v1", api_key=KEY, model="little", max_tokens=4, extra_body={"kv": {"method": "knorm"}}
    )
    assert kept.invoke("Say hello.").content
    assert asyncio.run(model.ainvoke("Say hello.")).content  # another answer where it is rounded otherwise
    return "invoke, stream with usage, batch, structured output, async, kv"


TASKS = """
    task: {name}
    dataset_path: json
    dataset_kwargs: {{data_files: {{test: {file}}}}}
    test_split: test
    doc_to_text: "{{{{text}}}}"
"""
LOGLIKELIHOOD = TASKS + """\
    output_type: multiple_choice
    doc_to_choice: "{{{{choices}}}}"
    doc_to_target: 0
    target_delimiter: ""
    metric_list: [{{metric: acc}}]
"""
GENERATION = TASKS + """\
    output_type: generate_until
    doc_to_target: "{{{{choices[0]}}}}"
    generation_kwargs: {{until: ["."], max_gen_toks: 8, temperature: 0}}
    metric_list: [{{metric: exact_match}}]
"""


def write_tasks(folder):
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps({"text": text, "choices": choices}) + "\n" for text, choices in CHOICES))
    for name, text in (("local_choice", LOGLIKELIHOOD), ("local_generation", GENERATION)):
        (folder / f"{name}.yaml").write_text(textwrap.dedent(text).strip().format(name=name, file=data))


def lm_eval(server):
    for name in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE"):  # all that is asked for is here
        os.environ[name] = "1"
    os.environ["OPENAI_API_KEY"] = KEY
    import lm_eval as harness
    from lm_eval.models.openai_completions import LocalCompletionsAPI
    from lm_eval.tasks import TaskManager

    logging.disable(logging.WARNING)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ["HF_DATASETS_CACHE"] = str(folder / "datasets")
        write_tasks(folder)
        # Its other tokenizers are downloaded; the server has the model's.
        model = LocalCompletionsAPI(
            base_url=f"{server.url}/v1/completions",
            model="little",
            tokenizer_backend="remote",
            tokenized_requests=True,
            auth_token=KEY,
        )
        results = harness.simple_evaluate(
            model=model,
            tasks=["local_choice", "local_generation"],
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            bootstrap_iters=0,
        )
    got = {
        (sample["doc"]["text"], choice): float(answer[0][0] if isinstance(answer[0], (list, tuple)) else answer[0])
        for sample in results["samples"]["local_choice"]
        for choice, answer in zip(sample["doc"]["choices"], sample["resps"])
    }
    generated = [sample["resps"][0][0] for sample in results["samples"]["local_generation"]]
    assert len(got) == sum(len(choices) for _, choices in CHOICES) and all(generated), (got, generated)
    accuracy = results["results"]["local_choice"]["acc,none"]
    return f"{len(got)} loglikelihoods (accuracy {accuracy:.2f}), {len(generated)} generations; {compared(got)}"


def compared(got):
    """With those that the library computes without a server: examples/loglikelihood.cpp."""
    program = os.environ.get("CHUNKKV_LOGLIKELIHOOD") or pathlib.Path(BINARY).parent / "examples" / "example_loglikelihood"
    if not os.access(program, os.X_OK):
        return "not compared, there is no example_loglikelihood beside the program"
    lines = "".join(f"{text}\t{choice}\n" for text, choice in got)
    output = subprocess.run([program, FULL_MODEL], input=lines, capture_output=True, check=True, text=True).stdout
    values = [float(line.split()[0]) for line in output.splitlines()]
    furthest = max(abs(value - own) for value, own in zip(got.values(), values, strict=True))
    assert furthest < TOLERANCE, f"a loglikelihood differs by {furthest} from the library's"
    return f"none further than {furthest:.4f} from the library's own"


CLIENTS = {"curl": curl, "openai": openai, "anthropic": anthropic, "langchain-openai": langchain_openai, "lm_eval": lm_eval}


def version(name):
    if name == "curl":
        return subprocess.run(["curl", "--version"], capture_output=True, check=True, text=True).stdout.split()[1]
    return importlib.metadata.version(name)


def main():
    chosen = sys.argv[1:] or list(CLIENTS)
    server = Served("-c", 4096, "--alias", "little")
    failed = False
    print("| client | version | outcome |\n|---|---|---|")
    for name in chosen:
        begin = time.monotonic()
        try:
            outcome = CLIENTS[name](server)
        except Exception as error:
            failed, outcome = True, f"FAILED: {type(error).__name__}: {error}".replace("\n", " ")[:300]
            if os.environ.get("CHUNKKV_TRACE"):
                raise
        print(f"| {name} | {version(name)} | {outcome} |", flush=True)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    server.end()
    sys.exit(failed)


main()
