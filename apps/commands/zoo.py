"""List the models of the zoo, or train one of them again by its recipe.

A build that is stopped goes on where it was when the same command is given again."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from apps.options import add_json

EXAMPLES = """\
  interp zoo list
  interp zoo build induction --out my-induction
  interp zoo build stories --data DATA --out my-stories --minutes 30"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the models, and which have a recipe")
    add_json(listing, "one JSON object a model")
    build = actions.add_parser("build", help="train a model by its recipe")
    build.add_argument("name", help="of the model")
    build.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the model")
    build.add_argument("--data", type=Path, metavar="FOLDER", help="of data sets, if it reads some")
    build.add_argument("--work", type=Path, metavar="FOLDER", help="of training runs (OUT-work)")
    build.add_argument("--minutes", type=float, metavar="M", help="of training, if it asks")
    build.add_argument("--seed", type=int, metavar="N", help="by default the recipe's")
    build.add_argument("--device", default="cpu", metavar="NAME", help="to train on (cpu)")


def run(options: argparse.Namespace) -> int:
    from interp.zoo import ZOO
    from interp.zoo.recipes import RECIPES

    if options.action == "list":
        if options.json:
            for name in sorted({*ZOO, *RECIPES}):
                about = {"about": ZOO.get(name), "trained": name in ZOO, "recipe": name in RECIPES}
                print(json.dumps({"name": name, **about}))
            return 0
        width = max(map(len, {*ZOO, *RECIPES}))
        for name in sorted({*ZOO, *RECIPES}):
            recipe = "" if name in RECIPES else " (no recipe)"
            print(f"{name.ljust(width)}  {ZOO.get(name, 'a recipe; not trained yet')}{recipe}")
        return 0
    return _build(options)


def _build(options: argparse.Namespace) -> int:
    import inspect

    from interp import InputError
    from interp.zoo.recipes import RECIPES, work_folder

    if options.name not in RECIPES:
        raise InputError(f"There is no recipe {options.name!r}; there are {', '.join(RECIPES)}.")
    entry = RECIPES[options.name]
    if entry.reads_data and options.data is None:
        raise InputError(f"The recipe of {options.name} reads data sets: give --data FOLDER.")
    build = entry.build
    wanted = inspect.signature(build).parameters
    given: dict[str, Any] = {"minutes": options.minutes, "device": options.device}
    given = {name: value for name, value in given.items() if name in wanted}
    if options.minutes is not None and "minutes" not in wanted:
        raise InputError(f"The recipe of {options.name} has a fixed number of steps.")
    if options.seed is not None:
        if "seed" not in wanted:
            raise InputError(f"The recipe of {options.name} has a fixed seed.")
        given["seed"] = options.seed
    if entry.reads_data:
        given["data"] = options.data
    given |= entry.given
    try:
        build(options.out, options.work or work_folder(options.out), **given)
    except KeyboardInterrupt:
        print("interp: stopped; the same command goes on", file=sys.stderr)
        return 130
    print(f"{options.out} holds {options.name}; its README.md says how good it is")
    return 0
