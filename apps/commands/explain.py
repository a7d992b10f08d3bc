"""Say what a prediction rests on: signed scores, how exact they are, and how far to trust them.

One method prints a strip of scores. Several methods, or --check, make a report: each method's
scores, and a scorecard beside controls. --answer explains a whole continuation token by token."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.options import add_json, add_model

if TYPE_CHECKING:
    from interp import Attribution, Baseline, Target

EXAMPLES = """\
  interp explain stories "Once upon a time there was a little"
  interp explain stories "She was very" --target " happy" --foil " sad" --out why.html
  interp explain stories "She was" --method integrated_gradients leave_one_out --out both.html
  interp explain stories "The king said" --answer --out answer.html
  interp explain ./my-classifier "The film was not good" --target 1 --units words --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("text", help="the text the model reads")
    what = parser.add_argument_group("what is explained")
    what.add_argument(
        "--target",
        metavar="TOKEN",
        help="token (or class number) to explain; by default the model's own prediction",
    )
    what.add_argument("--foil", metavar="TOKEN", help="explain why the target and not this")
    what.add_argument("--position", type=int, help="position that predicts; by default the last")
    what.add_argument(
        "--answer",
        nargs="?",
        const="",
        metavar="TEXT",
        help="explain every token of this continuation, or of what the model writes",
    )
    how = parser.add_argument_group("how")
    how.add_argument(
        "--method", nargs="+", default=["integrated_gradients"], metavar="NAME", help="explainers"
    )
    how.add_argument(
        "--baseline",
        default="mean",
        help="mean (the mean embedding), uniform (random tokens), or token:TEXT",
    )
    how.add_argument("--units", default="tokens", choices=["tokens", "words", "sentences"])
    how.add_argument("--tolerance", type=float, help="largest completeness error (0.01)")
    how.add_argument(
        "--check", nargs="?", const="light", choices=["light", "full"], help="add a scorecard"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="also write FILE.html or FILE.json"
    )
    add_json(parser, "one JSON object (with --answer, one a score)")


def run(options: argparse.Namespace) -> int:
    import interp

    if options.out is not None and options.out.suffix not in (".html", ".json"):
        raise interp.InputError(f"--out is {options.out}; give a name in .html or .json.")
    model = interp.load(options.model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the facts say whether a method converged
        if options.answer is not None:
            return _answer(options, model)
        if len(options.method) > 1 or options.check:
            return _report(options, model)
        return _attribution(options, model)


def _attribution(options: argparse.Namespace, model: Any) -> int:
    import interp

    found = interp.attribute(
        model,
        options.text,
        options.method[0],
        _target(options, by_number=not model.cfg.has_vocabulary_head),
        _baseline(options.baseline),
        units=options.units,
        **_own_options(options),
    )
    _write(options, found)
    if options.json:
        print(found.to_json(), end="")
    else:
        _print_strip(found)
        _print_facts(found.facts())
        _say_written(options)
    return 0 if found.converged else 1


def _report(options: argparse.Namespace, model: Any) -> int:
    import interp

    own = _own_options(options)
    report = interp.attribution_report(
        model,
        options.text,
        options.method,
        _target(options, by_number=not model.cfg.has_vocabulary_head),
        _baseline(options.baseline),
        units=options.units,
        depth=options.check or "light",
        options={"integrated_gradients": own} if own else None,
        progress=sys.stderr.isatty(),
    )
    _write(options, report)
    if options.json:
        print(report.to_json(), end="")
        return 0
    (item,) = report.texts
    for found in item.attributions:
        print(f"{found.method.replace('_', ' ')}:")
        _print_strip(found)
    print(item.card.table().to_string(float_format="{:.3g}".format, na_rep="-"))
    print()
    shared = {name: f"{value:.4g}" for name, value in item.card.target.items()}
    _print_facts({"target": item.attributions[0].target, **shared})
    _say_written(options)
    return 0 if all(found.converged for found in item.attributions) else 1


def _answer(options: argparse.Namespace, model: Any) -> int:
    import interp

    if options.target or options.foil or options.check or len(options.method) > 1:
        raise interp.InputError(
            "--answer explains every token of a continuation by one method; leave out --target, "
            "--foil and --check."
        )
    found = interp.attribute_answer(
        model,
        options.text,
        options.answer or None,
        options.method[0],
        _baseline(options.baseline),
        **_own_options(options),
    )
    if options.units != "tokens":
        found = found.by(options.units, options.units)
    if options.out is not None and options.out.suffix == ".json":
        raise interp.InputError(
            "The matrix of an answer is written as a page: give a name in .html."
        )
    _write(options, found)
    if options.json:
        print(found.to_frame().to_json(orient="records", lines=True, force_ascii=False), end="")
        return 0 if found.converged else 1
    from interp.figures.labels import visible

    width = max(len(visible(token)) for token in found.answer)
    for token, row in zip(found.answer, found.scores, strict=True):
        best = sorted(range(len(row)), key=lambda i: -abs(row[i]))[:4]
        reasons = ", ".join(f"{visible(found.tokens[i])} {row[i]:+.2f}" for i in best if row[i])
        print(f"{visible(token):>{width}}  {reasons}")
    print()
    _print_facts(found.facts())
    _say_written(options)
    return 0 if found.converged else 1


def _print_strip(found: Attribution) -> None:
    from interp.figures.strip import strip_ansi, strip_finding

    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(16, shutil.get_terminal_size().columns)
    print(strip_ansi(found.tokens, found.scores, width, color, unit=found.unit))
    print()
    print(strip_finding(found.tokens, found.scores))
    print()


def _print_facts(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        print(f"{name:<{max(map(len, facts))}}  {value}")


def _write(options: argparse.Namespace, found: Any) -> None:
    if options.out is None:
        return
    if options.out.suffix == ".html":
        found.to_html(options.out)
    else:
        found.to_json(options.out)


def _say_written(options: argparse.Namespace) -> None:
    if options.out is not None:
        print(f"\nwritten: {options.out}")


def _own_options(options: argparse.Namespace) -> dict[str, float]:
    """Those of integrated gradients."""
    return {} if options.tolerance is None else {"tolerance": options.tolerance}


def _baseline(given: str) -> Baseline:
    import interp

    if given.startswith("token:"):
        return interp.Baseline.token(given.removeprefix("token:"))
    if given not in ("mean", "uniform"):
        raise interp.InputError(
            f"--baseline is {given!r}; it must be mean, uniform, or token: with a token."
        )
    return interp.Baseline.mean() if given == "mean" else interp.Baseline.uniform()


def _target(options: argparse.Namespace, *, by_number: bool) -> Target:
    import interp

    def token(given: str | None) -> str | int | None:
        return int(given) if given is not None and by_number and given.isdigit() else given

    if options.foil is None:
        return interp.Target.logit(token(options.target), options.position)
    return interp.Target.logit_difference(
        token(options.target), token(options.foil), options.position
    )
