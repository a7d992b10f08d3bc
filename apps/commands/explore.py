"""Open the explorer in the browser, on this machine only."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

EXAMPLES = """\
  interp explore
  interp explore --port 8600 --headless"""

# The project's own .streamlit/config.toml is not part of an installed package.
_SAFE = {
    "server.address": "127.0.0.1",
    "server.allowedHosts": "localhost,127.0.0.1",
    "browser.gatherUsageStats": "false",
    "server.maxUploadSize": "5",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--headless", action="store_true", help="open no browser window")


def run(options: argparse.Namespace) -> int:
    script = Path(__file__).parents[1] / "explorer.py"
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    settings = _SAFE | {"server.port": options.port, "server.headless": options.headless}
    for name, value in settings.items():
        command += [f"--{name}", str(value).lower() if isinstance(value, bool) else str(value)]
    return subprocess.call(command)
