"""Say which tokens a prediction rests on: one signed score per token, and how exact they are."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interp import Target

EXAMPLES = """\
  interp explain stories "Once upon a time there was a little"
  interp explain stories "She was very" --target " happy" --foil " sad" --html why.html
  interp explain ./my-classifier "The film was not good" --target 1 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a zoo name, a model folder, or a Hugging Face id")
    parser.add_argument("text", help="the text the model reads")
    parser.add_argument(
        "--target",
        metavar="TOKEN",
        help="token (or class number) to explain; by default the model's own prediction",
    )
    parser.add_argument("--foil", metavar="TOKEN", help="explain why the target and not this")
    parser.add_argument("--position", type=int, help="position that predicts; by default the last")
    parser.add_argument("--method", default="integrated_gradients")
    parser.add_argument("--tolerance", type=float, default=0.01, help="largest completeness error")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a page")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def run(options: argparse.Namespace) -> int:
    import interp

    model = interp.load(options.model)
    target = _target(options, by_number=not model.cfg.has_vocabulary_head)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the facts below say whether the method converged
        found = interp.attribute(
            model, options.text, options.method, target, tolerance=options.tolerance
        )
    if options.html:
        found.to_html(options.html)
    if options.json:
        print(found.to_json(), end="")
        return 0
    from interp.figures.strip import strip_ansi, strip_finding

    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = max(16, shutil.get_terminal_size().columns)
    print(strip_ansi(found.tokens, found.scores, width, color, unit=found.unit))
    print()
    print(strip_finding(found.tokens, found.scores))
    print()
    facts = found.facts()
    for name, value in facts.items():
        print(f"{name:<{max(map(len, facts))}}  {value}")
    if options.html:
        print(f"\nwritten: {options.html}")
    return 0 if found.converged else 1


def _target(options: argparse.Namespace, *, by_number: bool) -> Target:
    import interp

    def token(given: str | None) -> str | int | None:
        return int(given) if given is not None and by_number and given.isdigit() else given

    if options.foil is None:
        return interp.Target.logit(token(options.target), options.position)
    return interp.Target.logit_difference(
        token(options.target), token(options.foil), options.position
    )
