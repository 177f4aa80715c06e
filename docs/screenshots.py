"""Pictures of the pages where people look (docs/mlflow.md), and what axe-core finds on our own.

    python docs/screenshots.py --config data/flywheel.toml            # into docs/pictures
    python docs/screenshots.py --config data/flywheel.toml --axe axe.min.js

after a turn. It needs a Chromium, which it drives by its DevTools protocol, because `--screenshot`
cannot know when a page is done that asks its server for things: here it is when the texts that are
named stand on it, no request has been under way for half a second and two pictures in a row are the
same. axe.min.js is in the npm package axe-core; it is put into the page as it is, CSP set aside.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flows.commands.ui import bound_port
from flows.processes import end_server, start_server
from tasks.record.pages import index_of, pages_of
from tasks.settings import Settings, read_settings
from tasks.store import Store
from tasks.store.control.history import read_history
from tasks.tracking.links import (
    artifact_path,
    compare_path,
    model_name,
    prompt_name,
    run_path,
    runs_path,
)
from tasks.tracking.server import server_command
from tasks.tracking.session import open_session

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_QUIET_S = 0.5
_TIMEOUT_S = 60.0
#: axe-core looks at every element of a report of thousands of rows
_AXE_TIMEOUT_S = 900.0


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, address: str) -> None:
        from websockets.sync.client import connect

        self._socket = connect(address, max_size=None, open_timeout=_TIMEOUT_S)
        self._number = 0
        self.timeout_s = _TIMEOUT_S
        self._pending: dict[str, str] = {}
        self._quiet_since = time.monotonic()
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")
        # MLflow opens a panel for its assistant and a hint on the first visit
        closed = {"mlflow.assistant.panelOpen_v1": "false"}
        self.call("Page.addScriptToEvaluateOnNewDocument", source=_prepared(closed))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command; what happens meanwhile is taken notice of."""
        self._number += 1
        number = self._number
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=self.timeout_s))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            self._notice(message)

    def _notice(self, event: dict[str, Any]) -> None:
        name, told = event.get("method", ""), event.get("params", {})
        url = told.get("request", {}).get("url", "")
        # of a worker's script and of what a page made itself, no end is told
        is_told = not url.endswith(".worker.js") and not url.startswith(("blob:", "data:"))
        if name == "Network.requestWillBeSent" and is_told:
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

    def violations(self, axe: str) -> list[str]:
        """What axe-core finds, a line each; `axe` is its source."""
        self.value(f"{axe}; 0")
        found = self.value(
            "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)"
        )
        return [
            f"{one['id']} ({one['impact']}): {one['help']}: {one['nodes'][0]['html'][:120]}"
            for one in found
        ]

    def close(self) -> None:
        self._socket.close()


def _prepared(stored: dict[str, str]) -> str:
    lines = [f"localStorage.setItem({json.dumps(k)}, {json.dumps(v)});" for k, v in stored.items()]
    return f"try {{ {' '.join(lines)} }} catch (refused) {{}}"


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
    port_file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if port_file.exists() and (lines := port_file.read_text().splitlines()):
            pages = httpx.get(f"http://127.0.0.1:{lines[0]}/json/list", timeout=5).json()
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise SystemExit("the browser does not start")


@dataclass(frozen=True, slots=True)
class Page:
    """`texts`: those that stand on it when it is done. `height`: of the part that is taken."""

    name: str
    path: str
    texts: tuple[str, ...]
    height: int = 700


def mlflow_pages(settings: Settings) -> list[Page]:
    """Of the newest verdict. Raises SystemExit where there is none."""
    with Store.open(settings.store_path, read_only=True) as store:
        last = read_history(store, 1).last
    if last is None:
        raise SystemExit("the newest run has no verdict: flywheel run first")
    with open_session(settings) as session:
        experiment = session.experiment_id
        query = f"tags.`flywheel.run_id` = '{last.run_id}'"
        found = {
            run.data.tags["flywheel.role"]: run
            for run in session.client.search_runs([experiment], query)
        }
        parent, challenger = found["parent"], found["challenger"]
        versions = session.client.search_model_versions(
            f"name = '{model_name(session.experiment)}'"
        )
    name = model_name(session.experiment)
    newest = max(versions, key=lambda version: int(version.version))
    prompt = prompt_name(session.experiment, last.suites[0].rule.name)
    compared = compare_path(experiment, challenger.info.run_id, found["champion"].info.run_id)
    return [
        Page("runs", runs_path(experiment), (parent.info.run_name[:12], "margin in points")),
        Page("run", run_path(experiment, parent.info.run_id), ("Report", "side by side"), 900),
        Page("report", artifact_path(experiment, parent.info.run_id, "report.html"),
             ("verdict.json",), 780),
        Page("compare", compared, (challenger.info.run_name, "target")),
        Page("model", f"/#/models/{name}", ("Versions", "verdict")),
        Page("version", f"/#/models/{name}/versions/{newest.version}", ("against",)),
        Page("prompt", f"/#/experiments/{experiment}/prompts/{prompt}", ("releases",)),
    ]  # fmt: skip


@contextmanager
def mlflow_server(settings: Settings) -> Iterator[str]:
    with bound_port(0, "docs/screenshots.py") as bound:
        port = bound.getsockname()[1]
    argv, environment = server_command(settings, port)
    with Path(os.devnull).open("wb") as nowhere:
        process = start_server(argv, environment, nowhere)
    try:
        _until_it_answers(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        end_server(process)


def _until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 2 * _TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            httpx.get(url, timeout=5).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise SystemExit(f"{url} does not answer")


def _small(picture: bytes) -> bytes:
    """PNG with a palette of 64 colours, a third of the bytes: they lie in the repository."""
    from PIL import Image

    written = io.BytesIO()
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    whole.quantize(64, dither=Image.Dither.NONE).save(written, "png", optimize=True)
    return written.getvalue()


def take(settings: Settings, folder: Path, width: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pages = mlflow_pages(settings)
    with mlflow_server(settings) as base, browser() as page:
        page.open(base + pages[0].path)  # on the first visit MLflow opens its assistant
        for one in pages:
            page.show(width, one.height)
            page.open(base + one.path, *one.texts)
            (folder / f"{one.name}.png").write_bytes(_small(page.picture()))
            print(folder / f"{one.name}.png", flush=True)
        page.show(width, 700)
        page.open(index_of(settings).as_uri(), "Flywheel")
        (folder / "index.png").write_bytes(_small(page.picture()))


def check(settings: Settings, axe: Path, more: Sequence[str]) -> int:
    """The number of violations on the index, the report of the newest run and other pages, files or
    addresses (such as the one that `flywheel review --web` prints), on a telephone and on a desk,
    light and dark."""
    source, num = axe.read_text(encoding="utf-8"), 0
    with Store.open(settings.store_path, read_only=True) as store:
        last = read_history(store, 1).last
    of_run = [] if last is None else sorted(pages_of(settings, last.run_id).glob("*.html"))
    with browser() as page:
        page.timeout_s = _AXE_TIMEOUT_S
        page.call("Page.setBypassCSP", enabled=True)
        addresses = [path.resolve().as_uri() for path in (index_of(settings), *of_run)]
        addresses += [one if "://" in one else Path(one).resolve().as_uri() for one in more]
        for address in addresses:
            for width in (390, 1400):
                for dark in (False, True):
                    page.show(width, 900, dark=dark)
                    page.open(address)
                    found = page.violations(source)
                    num += len(found)
                    name = address.partition("?")[0].removeprefix("file://")
                    where = f"{name}, {width} px, {'dark' if dark else 'light'}"
                    print(f"{where}: {len(found)} violations", *found, sep="\n  ", flush=True)
    return num


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="flywheel.toml")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("pictures"))
    parser.add_argument("--width", type=int, default=1400)
    parser.add_argument("--axe", type=Path, help="axe.min.js: look for violations, take no picture")
    parser.add_argument("pages", nargs="*", help="more HTML files or addresses for --axe")
    asked = parser.parse_args()
    settings = read_settings(asked.config)
    if asked.axe is not None:
        return min(check(settings, asked.axe, asked.pages), 1)
    take(settings, asked.out, asked.width)
    return 0


if __name__ == "__main__":
    sys.exit(main())
