"""A study as the command line asks for it: the same options for every probe of layers."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any, get_args

from probes.labelled import Parts, Pooling
from probes.solvers.families import family
from probes.study import Study
from probes.treebanks import add_treebank_argument


def add_study_arguments(parser: argparse.ArgumentParser, probes: str, pooling: Pooling) -> None:
    """Adds what a study is made of.

    Args:
        probes: kinds of probes, for the help.
        pooling: by default.
    """
    add_treebank_argument(parser)
    parser.add_argument("--probe", default="logistic", help=probes)
    parser.add_argument("--sites", nargs="+", metavar="NAME", help="hook points (the stream)")
    parser.add_argument("--pooling", default=pooling, choices=get_args(Pooling))
    parser.add_argument("--whole", action="store_true", help="fit to the whole train part")
    parser.add_argument("--controls", type=int, default=3, metavar="N", help="control tasks")
    parser.add_argument("--twins", type=int, default=3, metavar="N", help="random models")


def study_asked(
    options: argparse.Namespace,
    parts_of: Callable[..., Parts],
    *data: Any,
    by_label: bool = False,
) -> Study:
    """The study of some options, on `parts_of(*data)`; models that come one after the other share
    it, with its data and its twins.

    Raises:
        InputError: no such probe, or what `parts_of` refuses.
    """
    sites = None if options.sites is None else tuple(options.sites)
    question = (options.probe, sites, options.pooling, options.controls, options.twins)
    return _study(parts_of, data, question, by_label)


@functools.lru_cache(maxsize=1)
def _study(
    parts_of: Callable[..., Parts], data: tuple[Any, ...], question: tuple[Any, ...], by_label: bool
) -> Study:
    probe, *rest = question
    return Study(parts_of(*data), family(probe), *rest, by_label=by_label)
