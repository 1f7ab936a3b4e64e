"""The page of `chunkkv serve`, as a browser shows it, against a made-up server and the real one."""

import json
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cli"))

from browser import CHROMIUM, Page
from command import QUESTION, TEXT
from fake_server import HOSTILE, KV, PIECES, FakeServer, page
from running_server import Server

DROP = """
(files => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) transfer.items.add(new File([content], name));
  byId("input").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
})
"""


class RealServer:
    def __init__(self, *arguments):
        self.server = Server(*arguments)
        self.address = f"http://127.0.0.1:{self.server.port}"

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.server.kill()


class Visit:
    """One page of one server, used as a person would."""

    def __init__(self, width=1280, dark=False, height=900, server=None):
        self.server = server or FakeServer()
        self.page = Page(self.server.address, width, height, dark)

    def __enter__(self):
        self.server.__enter__()
        self.page.__enter__()
        return self

    def __exit__(self, *problem):
        self.page.__exit__(*problem)
        self.server.__exit__(*problem)

    def value(self, expression):
        return self.page.value(expression)

    def until(self, expression):
        deadline = time.monotonic() + 60
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"never: {expression}\n" + self.value("document.body.innerText")
            time.sleep(0.03)

    def ready(self):
        self.until("byId('method').options.length === 2")
        return self

    def text(self, selector):
        return self.value(f"document.querySelector({json.dumps(selector)})?.innerText")

    def type(self, text):
        self.value("byId('input').focus()")
        self.page.call("Input.insertText", text=text)

    def ask(self, text):
        self.type(text)
        self.page.press("Enter")

    def answered(self):
        self.until("!running")

    def choose(self, name, value):
        self.value(
            f"{{ byId('{name}').value = '{value}';"
            f" byId('{name}').dispatchEvent(new Event('input', {{ bubbles: true }})) }}"
        )

    def picture(self, name):
        if "CHUNKKV_PICTURES" in os.environ:
            self.page.screenshot(pathlib.Path(os.environ["CHUNKKV_PICTURES"], f"{name}.png"))


class Conversation(unittest.TestCase):
    def assert_fits(self, visit):
        self.assertEqual(visit.value("document.documentElement.scrollWidth"), visit.page.width)
        self.assertTrue(
            visit.value("['log', 'text', 'options'].every(id => byId(id).scrollWidth <= byId(id).clientWidth)")
        )
        self.assertTrue(
            visit.value(
                "[...document.querySelectorAll('button, input, select, textarea')].filter(e => e.checkVisibility())"
                ".every(e => e.getBoundingClientRect().right <= innerWidth)"
            )
        )

    def test_every_width_and_colour(self):
        for width in (360, 1280):
            for dark in (False, True):
                with self.subTest(width=width, dark=dark), Visit(width, dark) as visit:
                    self.one_conversation(visit.ready())
                    self.assertEqual(visit.page.problems, [])
                    foreign = [url for url in visit.page.requests if not url.startswith((visit.server.address, "data:"))]
                    self.assertEqual(foreign, [])
                    visit.picture(f"page-{width}-{'dark' if dark else 'light'}")

    def one_conversation(self, visit):
        is_narrow = visit.page.width == 360
        self.assertIn(HOSTILE, visit.text("#model"))
        self.assertEqual(visit.value("getComputedStyle(document.body).backgroundColor"),
                         "rgb(22, 23, 26)" if visit.page.dark else "rgb(246, 245, 242)")  # fmt: skip
        visit.value("byId('options').open = true")
        self.assert_fits(visit)
        visit.choose("method", "chunkkv")
        visit.choose("keep", "10%")
        visit.choose("cells", "4096")
        visit.value("byId('source').click()")
        visit.value("byId('options').open = false")
        self.assertIn("chunkkv, keep 10%", visit.text("summary"))

        visit.type("When does it leave?")
        visit.page.press("Enter", shift=True)
        visit.ask("Exactly?")
        visit.until("document.querySelector('.answer > .text').innerText === 'At seven'")  # streams: the rest waits
        self.assertEqual(visit.value("[byId('send').hidden, byId('stop').hidden, log.ariaBusy]"), [True, False, "true"])
        visit.server.may_go_on.set()
        visit.answered()
        self.assertEqual(visit.text(".answer > .text").strip(), f"At seven, says {HOSTILE} über")
        self.assertIn("Let me see.", visit.value("document.querySelector('.thought .text').textContent"))
        self.assertEqual(visit.value("log.ariaBusy"), "false")
        body = visit.server.bodies[0]
        self.assertEqual(body["messages"], [{"role": "user", "content": "When does it leave?\nExactly?"}])
        self.assertEqual(body["kv"], {"method": "chunkkv", "keep": "10%", "cells": 4096, "source": True})
        self.assertEqual((body["stream"], body["stream_options"]), (True, {"include_usage": True}))

        figures = visit.value("[...document.querySelectorAll('.figures div:has(dt)')].map(e => e.innerText.split('\\n'))")
        figures = dict(figures)
        first = figures.pop("first token")
        self.assertRegex(first, r"^[\d.]+ m?s$")
        self.assertEqual(
            figures,
            {"tokens read": "6,100", "reused": "12", "kept": "610", "cells": "640", "memory": "8.0 MiB of 80 MiB (10%)",
             "a token": "22 ms", "method": "chunkkv, 10%"},
        )  # fmt: skip
        self.assertEqual(visit.text(".reread"), f"Read again: {KV['reread_reason']}")

        self.assertEqual(visit.value("byId('kept').hidden"), is_narrow)
        if is_narrow:
            visit.value("byId('show-kept').click()")
        visit.until("document.querySelector('#text mark')")
        self.assertEqual(visit.value("byId('text').textContent"), "".join(PIECES))
        marks = "[...document.querySelectorAll('#text mark')].map(e => e.textContent)"
        self.assertEqual(visit.value(marks), ["The", " waits."])
        self.assertEqual(visit.text("#count"), "Layer 0 keeps 3 of 10 tokens, in 2 passages")
        visit.value("byId('text').focus()")
        visit.page.press("ArrowDown")
        visit.until("byId('count').textContent.startsWith('Layer 1 ')")
        self.assertEqual(visit.value(marks), ["The ferry", " waits."])
        visit.page.press("ArrowUp")
        visit.until("byId('count').textContent.startsWith('Layer 0 ')")
        visit.value("byId('layer').focus()")
        for _ in range(3):
            visit.page.press("ArrowUp")
        visit.until("byId('count').textContent.startsWith('Layer 3 ')")
        self.assertEqual(visit.value("document.querySelectorAll('img, body script:not(:last-of-type)').length"), 0)
        self.assertNotEqual(visit.value("document.title"), "run")
        self.assert_fits(visit)
        visit.picture(f"kept-{visit.page.width}-{'dark' if visit.page.dark else 'light'}")
        if is_narrow:
            visit.page.press("Escape")
            self.assertEqual(visit.value("[byId('kept').hidden, document.activeElement.id]"), [True, "show-kept"])

    def test_stops(self):
        with Visit() as visit:
            visit.ready()
            for number, stop in enumerate((lambda: visit.page.press("Escape"), lambda: visit.value("byId('stop').click()"))):
                visit.server.was_stopped.clear()
                visit.ask("slow")
                visit.until(f"[...document.querySelectorAll('.answer > .text')][{number}]?.innerText.includes('and')")
                stop()
                visit.answered()
                self.assertTrue(visit.server.was_stopped.wait(10))
            self.assertEqual(visit.text(".answer > p"), "Stopped.")
            visit.server.may_go_on.set()
            visit.ask("and now?")
            visit.until("document.querySelector('.figures')")
            sent = visit.server.bodies[-1]["messages"]
            self.assertEqual([each["role"] for each in sent], ["user", "assistant"] * 2 + ["user"])
            self.assertTrue(sent[1]["content"].startswith("At seven and"))
            self.assertEqual(visit.page.problems, [])

    def test_says_what_went_wrong(self):
        with Visit(360) as visit:
            visit.ready().ask("refuse")
            visit.answered()
            self.assertEqual(visit.text("#notice"), f"The server refuses this: keep must be a share {HOSTILE}")
            self.assertEqual(visit.value("[byId('input').value, messages.length]"), ["refuse", 0])
            self.assert_fits(visit)
            self.assertEqual(len(visit.page.problems), 1)  # the browser's own line about the status
            for question, words in (
                ("break", "The answer broke off: out of memory"),
                ("lost", "The connection ended before the answer did."),
            ):
                visit.value("byId('input').value = ''")
                visit.ask(question)
                visit.answered()
                self.assertEqual(visit.text("#notice"), words)
                self.assertEqual(visit.text(".answer:last-of-type > p"), "Broken off.")
            self.assertEqual(visit.value("document.querySelectorAll('img').length"), 0)
            visit.server.may_go_on.set()
            visit.server.is_gone = True
            visit.ask("more")
            visit.answered()
            visit.value("byId('show-kept').click()")
            visit.until("byId('count').textContent.includes('no longer holds')")

    def test_documents(self):
        with Visit() as visit:
            visit.ready().server.may_go_on.set()
            files = '["a.txt", "\\ufeffThe ferry."], ["b.bin", new Uint8Array([1, 0, 2])], ["c.txt", new Uint8Array([0xff])]'
            visit.value(f"{DROP}([{files}, ['d.txt', 'x'.repeat(2 ** 24 + 1)], ['<i>e.txt', 'Bees.\\n'], ['f.txt', ' ']])")
            visit.until("documents.length === 2")
            visit.until("!byId('notice').hidden")
            self.assertEqual(
                visit.text("#notice").splitlines(),
                ["b.bin is not a text file (UTF-8); it was not added.", "c.txt is not a text file (UTF-8); it was not added.",
                 "d.txt is larger than 16 MiB; it was not added.", "f.txt is empty; it was not added."],
            )  # fmt: skip
            visit.value("document.querySelector('#documents li:last-child button').click()")
            visit.ask("When?")
            visit.answered()
            self.assertEqual(visit.server.bodies[0]["messages"][0]["content"], "The ferry.\n\nWhen?")
            self.assertEqual(visit.value("documents.length"), 0)
            self.assertEqual(visit.text(".documents"), "a.txt, 10 characters")
            self.assertEqual(visit.page.problems, [])

    def test_settings_and_colours_survive_a_reload(self):
        with Visit() as visit:
            visit.ready()
            self.assertEqual(visit.value("[byId('method').value, byId('keep').value]"), ["full", "20%"])
            visit.choose("method", "chunkkv")
            visit.choose("keep", "7%")
            visit.value("byId('theme').click()")
            visit.page.events.clear()
            visit.page.call("Page.reload")
            visit.page.wait_for("Page.loadEventFired")
            visit.ready()
            self.assertEqual(visit.value("[byId('method').value, byId('keep').value]"), ["chunkkv", "7%"])
            self.assertEqual(visit.value("getComputedStyle(document.body).backgroundColor"), "rgb(22, 23, 26)")
            self.assertEqual(visit.page.problems, [])

    def test_asks_for_a_key_only_when_it_is_needed(self):
        with Visit() as visit:
            visit.ready()
            self.assertFalse(visit.value("byId('key').checkVisibility()"))
            visit.server.key = "sesame"
            visit.ask("When?")
            visit.until("byId('key').checkVisibility()")
            self.assertEqual(visit.text("#notice"), "The server asks for an API key: Invalid API key")
            visit.answered()
            self.assertEqual(visit.value("[document.activeElement.id, byId('input').value]"), ["key", "When?"])
            visit.page.call("Input.insertText", text="sesame")
            visit.page.press("Enter")
            visit.until("!byId('key').checkVisibility() && byId('notice').hidden")
            visit.server.may_go_on.set()
            visit.page.press("Enter")
            visit.until("document.querySelector('.figures')")

    def test_is_used_by_keyboard_alone(self):
        with Visit() as visit:
            visit.ready()
            seen = []
            for _ in range(20):
                visit.page.press("Tab")
                name, outline = visit.value(
                    "[document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]"
                )
                if visit.value("document.activeElement !== document.body"):  # Tab leaves the page at its end
                    self.assertNotEqual(outline, "none", name)
                seen.append(name)
            wanted = {"new", "show-kept", "theme", "method", "keep", "cells", "source", "log", "input", "add", "send"}
            self.assertLessEqual(wanted - {"keep"}, set(seen))  # keep is off with the full cache
            unnamed = visit.value(
                "[...document.querySelectorAll('input:not([hidden]), select, textarea')]"
                ".filter(e => !e.labels.length).map(e => e.id)"
            )
            self.assertEqual(unnamed, [])


class Real(unittest.TestCase):
    """What the page asks the server for is what the server gives."""

    def test_a_document_and_two_questions(self):
        server = RealServer("-c", "2048", "-np", "2", "--method", "chunkkv", "--keep", "30%", "-n", "12")
        with Visit(server=server) as visit:
            visit.until("byId('method').options.length > 5")
            self.assertIn("chunkkv, keep 30%", visit.text("summary"))
            visit.choose("keep", "40%")
            document = json.dumps(TEXT * 3)
            visit.value(f"{DROP}([['guide.txt', {document}]])")
            visit.until("documents.length === 1")
            visit.ask(QUESTION)
            visit.answered()
            self.assertTrue(visit.text(".answer > .text").strip())
            self.assertEqual(visit.value("byId('notice').hidden"), True)
            read = (
                "Object.fromEntries([...[...document.querySelectorAll('dl.figures')].at(-1).querySelectorAll('div:has(dt)')]"
                ".map(e => e.innerText.split('\\n')))"
            )
            figures = visit.value(read)
            self.assertIn(", 40%", figures["method"])
            self.assertGreater(int(figures["tokens read"].replace(",", "")), int(figures["kept"]))
            visit.until("document.querySelector('#text mark')")
            shown = visit.value("byId('text').textContent")
            self.assertIn(TEXT.strip(), shown)
            kept = visit.value("[...document.querySelectorAll('#text mark')].map(e => e.textContent).join('').length")
            self.assertTrue(0.2 * len(shown) < kept < 0.7 * len(shown), f"{kept} of {len(shown)} characters")
            visit.ask("And what else?")
            visit.answered()
            self.assertGreater(int(visit.value(read)["reused"]), 100)
            self.assertEqual(visit.page.problems, [])


class Source(unittest.TestCase):
    def test_is_one_file_that_reads_nothing_as_html(self):
        text = page()
        self.assertNotRegex(text, r"https?://|\bsrc=|@import|\burl\(")
        self.assertNotRegex(text, r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(")
        self.assertEqual(text.count("</script"), 1)


if __name__ == "__main__":
    if not CHROMIUM:
        print("Chromium is missing")
        sys.exit(77)
    unittest.main()
