"""A browser without a window, and finished runs for it to show."""

import json
import re
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from avel_testing.fake_parsing_runs import make_fake_parsing_run
from avel_testing.fake_runs import make_fake_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=3000",
    "--dump-dom",
)
TIMEOUT_SECONDS = 120


class Elements(HTMLParser):
    """Collects the attributes of every element by its tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@dataclass
class Shown:
    """A page after its script has run: `dom` as HTML, and what the browser's `console` says."""

    dom: str
    console: list[str]

    def element(self, name: str) -> dict[str, str | None]:
        """Return the attributes of the element with this id."""
        return next(attributes for _, attributes in Elements(self.dom).found if attributes.get("id") == name)

    @property
    def visible_clips(self) -> list[str | None]:
        """The ids of the rows that are not hidden, in the order of the page."""
        rows = [attributes for _, attributes in Elements(self.dom).found if "data-id" in attributes]
        return [row["data-id"] for row in rows if "hidden" not in row]

    @property
    def count(self) -> str:
        """What the page says about the number of clips."""
        return re.search(r'<output id="count">(.*?)</output>', self.dom)[1]

    @property
    def results(self) -> Any:
        """What the script of a test has written down."""
        return json.loads(unescape(re.search(r'<pre id="results">(.*?)</pre>', self.dom, re.DOTALL)[1]))


@pytest.fixture(scope="session")
def show(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Shown]:
    """Return a function that opens a page: ``show(path, fragment, *options)``."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    profile = tmp_path_factory.mktemp("profile")

    def open_page(path: Path, fragment: str = "", *options: str) -> Shown:
        place = (f"--user-data-dir={profile}", "--window-size=1500,900")
        address = f"{path.as_uri()}#{fragment}" if fragment else path.as_uri()
        done = subprocess.run(
            [program, *OPTIONS, *place, *options, address], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
        assert done.returncode == 0, done.stderr
        return Shown(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])

    return open_page


FRAME = """<!doctype html>
<meta charset="utf-8">
<iframe src="{address}" width="{width}" height="900" style="border: 0"></iframe>
<pre id="results"></pre>
<script>
addEventListener("message", (event) => {{ document.getElementById("results").textContent = event.data; }});
</script>
"""
"""A browser's window is at least 500 pixels wide; a page in a frame takes the frame for its window."""


@pytest.fixture(scope="session")
def act(show: Callable[..., Shown], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return a function that runs a script in a page, after the page's own, and returns its ``results``."""

    def run_in_page(path: Path, script: str, width: int = 1100, *options: str) -> Any:
        content = f"const results = {{}}; {script}; parent.postMessage(JSON.stringify(results), '*');"
        digest = b64encode(sha256(content.encode()).digest()).decode()
        text = path.read_text(encoding="utf-8").replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
        folder = tmp_path_factory.mktemp("page")
        (folder / "index.html").write_text(text.replace("</body>", f"<script>{content}</script></body>"), "utf-8")
        (folder / "frame.html").write_text(FRAME.format(address="index.html", width=width), "utf-8")
        shown = show(folder / "frame.html", "", *options)
        assert shown.console == []
        return shown.results

    return run_in_page


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of 50 test clips and 2 of validation, two of each in detail, with pictures and sound."""
    run = make_fake_run(tmp_path_factory.mktemp("run"), num_test_clips=50, num_detailed=4)
    run.build()
    return run.root / "report/index.html"


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page whose ids and names try to get out of where they are written."""
    run = make_fake_run(
        tmp_path_factory.mktemp("hostile"),
        ('"><script>document.title = "owned"</script>', "</script><img src=x onerror=\"document.title='owned'\">"),
        clip_prefix="\"></li><script>document.title = 'owned'</script>",
        has_media=False,
    )
    run.build()
    return run.root / "report/index.html"


@pytest.fixture(scope="session")
def parsing_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of parsing: 50 test clips and 2 of validation, four in detail, some with pictures and sound."""
    run = make_fake_parsing_run(tmp_path_factory.mktemp("parsing"), num_test_clips=50, report={"num_clips": 4})
    run.build()
    return run.root / "report/index.html"


@pytest.fixture(scope="session")
def hostile_parsing_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of parsing whose ids and names try to get out of where they are written."""
    run = make_fake_parsing_run(
        tmp_path_factory.mktemp("hostile-parsing"),
        (
            '"><script>document.title = "owned"</script>',
            "</title></script><img src=x onerror=\"document.title='owned'\">",
            "</svg><script>document.title = 'owned'</script>",
        ),
        clip_prefix="\"></li><script>document.title = 'owned'</script>",
        has_media=False,
    )
    run.build()
    return run.root / "report/index.html"
