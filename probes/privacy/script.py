"""The privacy audit as a command: one of four questions, asked of models."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interp import load
from interp.data.records import Pair
from interp.errors import InputError
from interp.figures.exposure import exposure_chart
from interp.figures.figure import Figure
from interp.figures.roc import roc_chart
from interp.figures.theme import Scheme
from interp.train.tasks.classification import Classification
from interp.train.tasks.language_modelling import LanguageModelling
from interp.train.tasks.rows import read_rows
from probes.privacy.canaries import open_canaries
from probes.privacy.exposure import CHANCE, exposure
from probes.privacy.extraction import NEXT, PROMPTS, extraction
from probes.privacy.likelihood import Unit, text_of
from probes.privacy.membership import BLIND, membership
from probes.privacy.personal import generate, personal_data
from probes.privacy.separation import LEAST_ALARMS
from probes.script import Script

_EXAMPLES = """\
  python -m probes.privacy --ask canaries --run MODEL --canaries canaries.jsonl --chart c.svg
  python -m probes.privacy --ask membership --run MODEL --members in.jsonl --others out.jsonl
  python -m probes.privacy --ask extraction --run MODEL --members in.txt --prompts 50 200
  python -m probes.privacy --ask personal --run MODEL --members in.txt --generate 200"""


def units_of(model: Any, path: Path) -> list[Unit]:
    """What a model reads of a file, see `probes.privacy.likelihood`.

    A decoder or encoder reads documents of any format; an encoder-decoder lines with `source` and
    `target`, a classifier lines with `text` and `label`.

    Raises:
        InputError: the file has none of these.
    """
    if model.cfg.head == "classification":
        return list(Classification.read(path))
    if model.cfg.shape == "encoder_decoder":
        return [Pair(row.text("source"), (row.text("target"),)) for row in read_rows(path)]
    return list(LanguageModelling.read(path))


def _required(options: argparse.Namespace, *names: str) -> list[Path]:
    found = [getattr(options, name) for name in names]
    for name, path in zip(names, found, strict=True):
        if path is None:
            raise InputError(f"--ask {options.ask} needs --{name}; see --help.")
    return found


def _canaries(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    (path,) = _required(options, "canaries")
    return exposure(model, open_canaries(path))


def _membership(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    inside, outside = (units_of(model, path) for path in _required(options, "members", "others"))
    units = [*inside, *outside]
    member = np.repeat([True, False], [len(inside), len(outside)])
    found = membership(
        model,
        units,
        member,
        reference=None if options.reference is None else load(options.reference),
        labels=options.labels,
        seed=options.seed,
    )
    return pd.concat([found.frame(delta=options.delta), found.curves()], ignore_index=True)


def _extraction(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    (path,) = _required(options, "members")
    units, duplicates = _counted(units_of(model, path))
    reference = None if options.reference is None else load(options.reference)
    return extraction(
        model,
        units,
        duplicates=duplicates,
        reference=reference,
        prompts=options.prompts,
        n=options.next,
    )


def _counted(units: Sequence[Unit]) -> tuple[Any, list[int]]:
    """Each unit once, and how often it is there."""
    counts: dict[Unit, int] = {}
    for unit in units:
        counts[unit] = counts.get(unit, 0) + 1
    return list(counts), list(counts.values())


def _personal(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    (path,) = _required(options, "members")
    texts = [text_of(unit) for unit in units_of(model, path)]
    written = generate(model, options.generate, seed=options.seed) if options.generate else []
    return personal_data(texts, written)


_QUESTIONS: dict[str, Callable[[Any, argparse.Namespace], pd.DataFrame]] = {
    "canaries": _canaries,
    "extraction": _extraction,
    "membership": _membership,
    "personal": _personal,
}


def _ask(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    return _QUESTIONS[options.ask](model, options)


def _chart(frame: pd.DataFrame, scheme: Scheme) -> Figure:
    """The picture of canaries or membership, of one model."""
    models = frame[["run", "step"]].drop_duplicates()
    if len(models) > 1:
        raise InputError(f"A privacy chart shows one model; the frame has {len(models)}.")
    kind = str(frame["task"].iloc[0])
    if kind == "canaries":
        each = frame[frame["unit_id"].notna()].pivot(
            index=["unit_id", "duplicates"], columns="metric", values="value"
        )
        size = float((each["exposure"] + np.log2(each["rank"])).iloc[0])
        rows = each.rename(columns={"exposure": "value"}).reset_index()
        return exposure_chart(rows, chance=CHANCE, highest=size, scheme=scheme)
    if kind == "membership":
        curves = frame[frame["metric"] == "roc"]
        (others,) = frame.loc[frame["metric"] == "overlap_13", "n"]
        unsure = LEAST_ALARMS / int(others)
        return roc_chart(curves, blind=BLIND, unsure_below=min(unsure, 0.99), scheme=scheme)
    raise InputError(f"There is no chart of {kind}; leave out --chart.")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ask", required=True, choices=list(_QUESTIONS), help="the question")
    for name, what in (
        ("canaries", "canaries, as `canaries.save` wrote them"),
        ("members", "texts that the model was trained on"),
        ("others", "texts of the same kind that it was not"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=what)
    parser.add_argument("--reference", metavar="MODEL", help="one that has seen none of them")
    parser.add_argument(
        "--labels", nargs="+", default=(), help="classes, in the order of the outputs"
    )
    parser.add_argument("--delta", type=float, default=0.0, help="of the differential privacy")
    parser.add_argument(
        "--prompts", nargs="+", type=int, default=list(PROMPTS), metavar="K", help="tokens given"
    )
    parser.add_argument("--next", type=int, default=NEXT, metavar="N", help="tokens asked for")
    parser.add_argument("--generate", type=int, default=0, metavar="N", help="texts to generate")
    parser.add_argument("--seed", type=int, default=0)


SCRIPT = Script(
    name="privacy",
    summary="what a model remembers of its training data, and who could show it",
    examples=_EXAMPLES,
    measure=_ask,
    chart=_chart,
    add_arguments=_add_arguments,
)
