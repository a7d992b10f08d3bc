"""Open the explorer in the browser, on this machine only.

Where it listens, and everything else about the server, stands in `.streamlit/config.toml` beside
the explorer; docs/installing.md says how it is hosted for others."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
  interp explore
  interp explore runs/my-run ./my-classifier
  interp explore --port 8600 --headless"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL_OR_RUN",
        help="models to choose from besides the zoo: folders, runs, ids of the hub",
    )
    parser.add_argument("--port", type=int, default=8501, metavar="N", help="to listen at (8501)")
    parser.add_argument("--headless", action="store_true", help="open no browser window")


def run(options: argparse.Namespace) -> int:
    from streamlit.web import cli

    # torch is not imported beside the server's start: it would take the interpreter from the server
    # and hold back the stored first picture by more than a second.
    command = ["run", str(Path(__file__).parents[1] / "explorer.py")]
    command += ["--server.port", str(options.port)]
    command += ["--server.headless", str(options.headless).lower()]
    command += ["--server.fileWatcherType", "none"]  # who edits pages runs `streamlit run` on them
    cli.main([*command, "--", *options.models], standalone_mode=False)
    return 0
