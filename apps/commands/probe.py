"""Ask a model, or every checkpoint of a run, what it knows and where: the analyses of `probes`.

`interp probe` lists them; `interp probe NAME --help` shows the options of one."""

from __future__ import annotations

import argparse
import textwrap
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.parsing import Parser

EXAMPLES = """\
  interp probe
  interp probe heads --run induction --out heads.parquet --chart heads.html
  interp probe atlas --run stories-suite --data DATA/ud_english_ewt --chart atlas.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from probes import ANALYSES

    parser.add_argument(
        "name", nargs="?", choices=ANALYSES, metavar="NAME", help=", ".join(ANALYSES)
    )
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    from probes import ANALYSES

    if options.name is None:
        width = max(map(len, ANALYSES), default=0)
        for name, summary in ANALYSES.items():
            print(f"{name.ljust(width)}  {summary}")
        return 0
    script = import_module(f"probes.{options.name}").SCRIPT
    return int(script.run(parser_of(options.name).parse_args(options.rest)))


def parser_of(name: str) -> Parser:
    """The parser of one analysis."""
    from apps.parsing import Parser

    script = import_module(f"probes.{name}").SCRIPT
    summary = textwrap.fill(script.summary, 100)
    parser = Parser(prog=f"interp probe {name}", description=summary, examples=script.examples)
    script.fill(parser)
    return parser
