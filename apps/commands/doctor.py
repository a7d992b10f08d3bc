"""Say what is installed, what this machine is good at, and what is broken.

Exit code 1 if something is broken. Multiplies matrices for a second and opens every model of the
zoo, which compares the hash of its weights with the one that was written down."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from apps.options import add_json

EXAMPLES = """\
  interp doctor
  interp doctor --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from apps.doctor import checks
    from interp import __version__
    from interp.figures.labels import literal

    found, part = [], ""
    for check in checks():
        found.append(check)
        if options.json:
            continue
        if check.part != part:
            part = check.part
            print(f"{part}:")
        print(f"  {check.state:6} {check.name:16} {literal(check.found)}", flush=True)
        if check.advice:
            print(f"{'':26}{literal(check.advice)}")
    broken = [check for check in found if check.state == "broken"]
    if options.json:
        about = {"version": __version__, "broken": len(broken), "checks": list(map(asdict, found))}
        print(json.dumps(about, ensure_ascii=False))
    else:
        print(f"\n{len(broken)} of {len(found)} checks found something broken")
    return 1 if broken else 0
