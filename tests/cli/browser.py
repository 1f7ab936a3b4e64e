"""Headless Chromium, driven through its DevTools pipe: no window, no port, any width.

`with Page(path, width=420) as page: page.value("document.title")`
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


KEY_CODES = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
TYPED = {" ": " ", "Enter": "\r"}


class Page:
    """One page, a file or an address, at one width. `problems` holds what its program threw or logged as an
    error, and `requests` every address that it asked for."""

    def __init__(self, path, width, height=900, dark=False):
        assert CHROMIUM, "Chromium is missing: on Debian, apt-get install chromium"
        self.path, self.width, self.height, self.dark = path, width, height, dark
        self.problems, self.requests, self.events, self.last_id = [], [], [], 0

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        their_input, self.to_browser = os.pipe()
        self.from_browser, their_output = os.pipe()
        # The pipe is on descriptors 3 and 4 by definition.
        command = f'exec 3<&{their_input} 4>&{their_output}; exec "$0" "$@"'
        self.process = subprocess.Popen(
            [
                "bash",
                "-c",
                command,
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                f"--user-data-dir={self.profile.name}",
                "--remote-debugging-pipe",
                "about:blank",
            ],
            pass_fds=(their_input, their_output),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_input)
        os.close(their_output)
        self.buffer = b""
        targets = self.call("Target.getTargets", session=False)["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        self.session = self.call("Target.attachToTarget", session=False, targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=self.width,
            height=self.height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}],
        )
        self.requests.clear()
        self.call("Page.navigate", url=self.path if isinstance(self.path, str) else self.path.resolve().as_uri())
        self.wait_for("Page.loadEventFired")
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close", session=False)
        finally:
            os.close(self.to_browser)
            os.close(self.from_browser)
            self.process.kill()
            self.process.wait()
            self.profile.cleanup()

    def call(self, method, session=True, **parameters):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def wait_for(self, event):
        while event not in self.events:
            self.receive()

    def receive(self):
        while b"\0" not in self.buffer:
            part = os.read(self.from_browser, 1 << 20)
            assert part, "Chromium ended"
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(message)
        method, parameters = message.get("method"), message.get("params", {})
        self.events.append(method)
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        return message

    def value(self, expression):
        """The value of a JavaScript expression, or of the promise that it gives."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key, shift=False):
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=KEY_CODES[key],
                modifiers=8 if shift else 0,
                **({"text": TYPED[key]} if key in TYPED and kind == "keyDown" else {}),
            )

    def screenshot(self, path):
        """The whole page, from its head to its end."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        picture = self.call(
            "Page.captureScreenshot",
            captureBeyondViewport=True,
            clip={"x": 0, "y": 0, "width": self.width, "height": size["height"], "scale": 1},
        )
        path.write_bytes(base64.b64decode(picture["data"]))
