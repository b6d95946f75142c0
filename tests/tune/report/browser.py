"""A page in a headless Chromium: what goes wrong there, and whether it fits."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=10000",
    "--enable-logging=stderr",
]
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

PROBE = (
    "<script>window.addEventListener('load', () => setTimeout(() => {"
    "const page = document.documentElement, wide = page.scrollWidth - page.clientWidth;"
    "const charts = document.querySelectorAll('.js-plotly-plot .main-svg').length;"
    "const done = (() => {ACTIONS})();"
    "console.log('SEEN ' + JSON.stringify({wide, charts, done})); }, 1500));</script>"
)


def seen_in_browser(page: str, folder: Path, width: int, actions: str = "") -> dict[str, Any]:
    """By how many pixels a page is too wide (`wide`), its `charts`, and the `errors` of its scripts.

    Then `actions`, the body of a JavaScript function, is run; `done` is what it returns.
    """
    path = folder / "page.html"
    path.write_text(page.replace("</head>", f"{PROBE.replace('ACTIONS', actions)}</head>", 1), encoding="utf-8")
    words = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"]
    words += [f"--screenshot={folder / 'page.png'}", path.as_uri()]
    log = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False).stderr
    console = [line for line in log.splitlines() if "CONSOLE" in line]
    found = re.search(r'SEEN (\{.*\})", source', "\n".join(console))
    assert found is not None, log
    errors = [line for line in console if "SEEN" not in line and "rror" in line]
    return {**json.loads(found[1]), "errors": errors}
