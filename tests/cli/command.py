"""Runs the chunkkv binary as a user would."""

import atexit
import json
import os
import pathlib
import subprocess
import tempfile

from gguf_file import smaller

BINARY = os.environ["CHUNKKV_BIN"]
FULL_MODEL = os.environ["CHUNKKV_TEST_MODEL"]  # for what depends on answers, and for work that takes its time
N_LAYERS, N_TOKENS = 6, 4096


def small_model():
    """A part of the full model, which answers nonsense; a command that loads it takes a quarter of the time."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = pathlib.Path(folder.name, "small.gguf")
    path.write_bytes(smaller(FULL_MODEL, N_LAYERS, N_TOKENS))
    return path


MODEL = small_model()

# Long enough that every method has something to drop, short enough to be read in a second or two.
TEXT = (
    "The ferry to Lunna leaves at a quarter past seven, and in winter not at all. "
    "Whoever misses it may sleep in the waiting room, where the stove is lit until ten. "
    "The harbour master is called Oskar; he keeps bees, and sells their honey from his office window. "
    "There are three houses on the northern shore, one of them empty since the storm of that year. "
    "On clear days one sees the lighthouse, white with two red bands, and the smoke of the cannery. "
    "The school has eleven pupils and a piano that nobody tunes. "
)
QUESTION = "What is the harbour master called?"


def chunkkv(*arguments, stdin=None, **options):
    """The finished process; its output is text. Standard input is empty unless given."""
    return subprocess.run(
        [BINARY, *(a if isinstance(a, bytes) else str(a) for a in arguments)], input=stdin or "", capture_output=True, text=True, **options
    )


def threads(arguments):
    """One, unless the arguments say otherwise: ctest runs as many tests at once as there are cores."""
    return () if "-t" in arguments else ("-t", 1)


def run(*arguments, model=MODEL, **options):
    return chunkkv("run", "-m", model, *threads(arguments), *arguments, **options)


def inspect(*arguments, model=MODEL, **options):
    return chunkkv("inspect", "-m", model, *threads(arguments), *arguments, **options)


def parsed(result):
    """The JSON object that a successful process printed."""
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def run_json(*arguments, **options):
    return parsed(run(*arguments, "--json", **options))


def inspect_json(*arguments, **options):
    return parsed(inspect(*arguments, "--json", **options))


def rest_of(terminal):
    """What is written to a pseudo-terminal until its other end is closed."""
    seen = b""
    try:
        while piece := os.read(terminal, 4096):
            seen += piece
    except OSError:  # how Linux tells the end
        pass
    return seen


def demo_text():
    return pathlib.Path(__file__).parents[2] / "examples" / "demo" / "railway.txt"
