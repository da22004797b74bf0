"""A headless Chromium, driven over its DevTools pipe: no library is needed.

Each message is JSON, ended by a zero byte; Chromium reads file descriptor 3 and writes to 4.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe", "--window-size=1400,1000"),
)
READ, WRITE = 3, 4
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium_path() -> str:
    """Where Chromium is; the test fails where it is not."""
    paths = [path for name in NAMES if (path := shutil.which(name)) is not None]
    assert paths, "Chromium is needed to look at reports: install it (apt-get install chromium)."
    return paths[0]


class Browser:
    """One tab of a browser.

    Attributes:
        events: Every event that the tab reported.
    """

    def __init__(self, writes: int, reads: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._writes, self._reads = writes, reads
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._reads, 1 << 20)
            assert part, "Chromium ended"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def open(self, page: Path, *, dark: bool = False) -> None:
        """Load a page; events of the page before are forgotten."""
        self.theme(dark=dark)
        self.events.clear()
        self.send("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def theme(self, *, dark: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def run(self, code: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        data = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """What the console, the policy and scripts complained of, and what was fetched."""
        actual = []
        for event in self.events:
            method, values = event.get("method"), event.get("params", {})
            if method in {"Log.entryAdded", "Runtime.exceptionThrown"}:
                actual.append(json.dumps(values))
            elif method == "Network.requestWillBeSent":
                url = values["request"]["url"]
                actual += [] if url.startswith("file:") else [url]
        return actual


@contextmanager
def started_browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile; it ends with the context."""
    to_browser, our_write = os.pipe()
    our_read, from_browser = os.pipe()

    def move_pipes() -> None:  # copies first: 3 and 4 may be in use by the pipes themselves
        read, write = os.dup(to_browser), os.dup(from_browser)
        os.dup2(read, READ)
        os.dup2(write, WRITE)

    process = subprocess.Popen(
        [chromium_path(), *FLAGS, f"--user-data-dir={profile}"],
        preexec_fn=move_pipes,  # noqa: PLW1509 - the pipes need fixed numbers
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Browser(our_write, our_read)
    finally:
        os.close(our_write)
        os.close(our_read)
        process.terminate()
        process.wait(timeout=30)
