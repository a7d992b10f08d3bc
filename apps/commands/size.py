"""Say which model to train with a budget of time or of operations, and how good it will be."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from apps.options import add_json

if TYPE_CHECKING:
    from interp.train.size import Recommendation, ScalingLaw, Speed

EXAMPLES = """\
  interp size --seconds 3600
  interp size --seconds 3600 --data-tokens 7000000 --out size.html
  interp size --flops 1e20 --law besiroglu --json
  interp size --seconds 600 --runs my-runs.csv --counting all"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--seconds", type=float, help="of training on this machine, measured now")
    budget.add_argument("--flops", type=float, help="operations of training")
    parser.add_argument(
        "--data-tokens", type=float, metavar="N", help="different tokens at hand; by default enough"
    )
    law = parser.add_mutually_exclusive_group()
    law.add_argument("--law", help="one that comes along: stories (default), hoffmann, besiroglu")
    law.add_argument(
        "--runs",
        type=Path,
        metavar="FILE",
        help="fit the law to your own runs: a CSV file with parameters, tokens, loss",
    )
    parser.add_argument(
        "--counting", help="what is a parameter: matrices (default), all, blocks; see docs/size.md"
    )
    parser.add_argument("--d-vocab", type=int, metavar="N", help="by default that of the law")
    parser.add_argument(
        "--context", type=int, default=256, metavar="N", help="tokens of a row (256)"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="also write FILE.html, a page with charts"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from interp.errors import InputError
    from interp.train.size.page import to_html
    from interp.train.size.words import aligned, counting_cells, describe, shape_cells

    if options.out is not None and options.out.suffix != ".html":
        raise InputError(f"--out is {options.out}; give a name in .html.")
    law = _law(options, options.counting)
    found = _recommend(options, law)
    if options.out is not None:
        to_html(found, options.out)
    if options.json:
        print(json.dumps(found.to_dict(), allow_nan=False))
        return 0
    print("\n".join(describe(found)))
    for warning in found.warnings:
        print(f"\nwarning: {warning}")
    print(f"\n{aligned(shape_cells(found))}")
    others = [_recommend(options, other, found.speed) for other in _other_countings(options, law)]
    if others:
        print(f"\nWhat is counted changes the answer:\n{aligned(counting_cells([found, *others]))}")
    if options.out is not None:
        print(f"\nwritten: {options.out}")
    return 0


def _recommend(
    options: argparse.Namespace, law: ScalingLaw, speed: Speed | None = None
) -> Recommendation:
    from interp.train.size import recommend

    return recommend(
        seconds=options.seconds,
        flops=options.flops,
        law=law,
        speed=speed,
        unique_tokens=options.data_tokens,
        d_vocab=options.d_vocab,
        n_ctx=options.context,
    )


def _law(options: argparse.Namespace, counting: str | None) -> ScalingLaw:
    from interp.train.size import PUBLISHED, fit_file, known_law

    if options.runs:
        return fit_file(options.runs, counting or "matrices")
    published = PUBLISHED.get(options.law)
    usual = published.counting if published else "matrices"
    return known_law(options.law or "stories", counting or usual)


def _other_countings(options: argparse.Namespace, law: ScalingLaw) -> list[ScalingLaw]:
    """The same runs counted in the other ways, which only the package's own law has."""
    from interp.train.size import COUNTINGS

    if options.runs or options.law not in (None, "stories"):
        return []
    return [_law(options, name) for name in COUNTINGS if name != law.counting]
