"""Pictures of the pages where people look, and axe-core's verdict on them, by a headless Chromium.

It drives Chromium by its DevTools protocol, since `--screenshot` cannot know when a page that asks
its server for things is done: here a page is done when the texts that are named stand on it, no
request has been under way for half a second and two pictures in a row are the same.

    python docs/screenshots.py --config data/flywheel.toml --out docs/pictures
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_QUIET_S = 0.5
_TIMEOUT_S = 20.0


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, address: str) -> None:
        from websockets.sync.client import connect

        self._socket = connect(address, max_size=None, open_timeout=_TIMEOUT_S)
        self._number = 0
        self._pending: dict[str, str] = {}
        self._quiet_since = time.monotonic()
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command; what happens meanwhile is taken notice of."""
        self._number += 1
        number = self._number
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=_TIMEOUT_S))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            self._notice(message)

    def _notice(self, event: dict[str, Any]) -> None:
        name, told = event.get("method", ""), event.get("params", {})
        is_worker = told.get("request", {}).get("url", "").endswith(".worker.js")
        if name == "Network.requestWillBeSent" and not is_worker:
            self._pending[told["requestId"]] = told["request"]["url"]
        elif name in ("Network.loadingFinished", "Network.loadingFailed"):
            self._pending.pop(told["requestId"], None)
        else:
            return
        self._quiet_since = time.monotonic()

    def show(self, width: int, height: int, *, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def value(self, expression: str) -> Any:
        """Of JavaScript in the page; a promise is waited for."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"])[:500])
        return result["result"].get("value")

    def open(self, url: str, *texts: str) -> None:
        """Raises TimeoutError where the page is not done in a minute; its text is told."""
        self.call("Page.navigate", url="about:blank")
        self._pending.clear()
        self.call("Page.navigate", url=url)
        self.settle(*texts)

    def settle(self, *texts: str) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        before = b""
        while time.monotonic() < deadline:
            shown = str(self.value("document.body ? document.body.innerText : ''"))
            is_quiet = not self._pending and time.monotonic() - self._quiet_since > _QUIET_S
            if is_quiet and all(text.lower() in shown.lower() for text in texts):
                now = self.picture()
                if now == before:
                    return
                before = now
            time.sleep(0.2)
        missing = [text for text in texts if text.lower() not in shown.lower()]
        raise TimeoutError(
            f"the page is not done after {_TIMEOUT_S:.0f} s: without {missing}, under way "
            f"{list(self._pending.values())}; it says {shown[:300]!r}"
        )

    def picture(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        self._socket.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """Raises SystemExit where there is no Chromium."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        raise SystemExit(
            f"pictures need a Chromium: none of {', '.join(_BROWSERS)} is on the path "
            "(Debian: apt-get install chromium)"
        )
    with tempfile.TemporaryDirectory(prefix="pictures-") as profile:
        process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--no-first-run", "--disable-background-networking", "--force-color-profile=srgb",
             "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            page = Browser(_address(Path(profile), process))
            yield page
            page.close()
        finally:
            process.terminate()
            process.wait(timeout=_TIMEOUT_S)


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Of the page's socket: Chromium writes its port into its profile."""
    import urllib.request

    port_file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if port_file.exists() and (lines := port_file.read_text().splitlines()):
            with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
                pages = json.load(answer)
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise SystemExit("the browser does not start")
