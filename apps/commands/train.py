"""Pre-train a model on a packed corpus: a decoder by its next tokens, an encoder by masked tokens,
an encoder-decoder by spans that are cut out.

The same command goes on where it was stopped, however it was stopped. For several GPUs start it as
`torchrun --nproc-per-node N -m apps.cli train ...`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from apps.options import add_device, add_json

EXAMPLES = """\
  interp train corpus/ --out run/ --layers 4 --width 192 --steps 2000
  interp train corpus/ --dev dev-corpus/ --out run/ --minutes 30 --optimizer muon
  interp train corpus/ --out bert/ --shape encoder --context 128 --steps 5000
  interp train corpus/ --out run/ --recipe recipe.py --setting clip=0.5 --setting ema=0.999"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("corpus", type=Path, help="a folder that `interp tokenize` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the run")
    parser.add_argument("--dev", type=Path, metavar="CORPUS", help="packed text that is held out")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="a Python file with a RECIPE")
    model = parser.add_argument_group("the model, without a recipe")
    shapes = ("decoder", "encoder", "encoder_decoder")
    model.add_argument("--shape", choices=shapes, default="decoder")
    model.add_argument("--layers", type=int, default=4, metavar="N")
    model.add_argument("--width", type=int, default=256, metavar="N")
    model.add_argument("--heads", type=int, metavar="N")
    model.add_argument("--context", type=int, default=256, metavar="N", help="tokens a row")
    model.add_argument("--dropout", type=float, default=0.0, metavar="P")
    training = parser.add_argument_group("the training")
    training.add_argument("--steps", type=int, metavar="N")
    training.add_argument("--minutes", type=float, metavar="M", help="instead of steps")
    training.add_argument("--batch-rows", type=int, metavar="N", help="in a batch (16)")
    training.add_argument("--learning-rate", type=float, metavar="R")
    training.add_argument("--optimizer", choices=("adamw", "muon"))
    training.add_argument("--seed", type=int, metavar="N")
    add_device(training)
    training.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of `interp.Settings`, such as schedule=cosine",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from interp.data.corpus import PackedCorpus
    from interp.processes import default_device, join
    from interp.train.loop import fit

    world = join()
    corpus = PackedCorpus.open(options.corpus)
    recipe = _recipe(options)
    evaluate = None
    if options.dev is not None:
        evaluate = recipe.evaluation(PackedCorpus.open(options.dev, corpus.tokenizer))
    model = recipe.build(corpus.tokenizer).to(options.device or default_device())
    source = recipe.read(corpus)
    if world.first:
        n = sum(p.numel() for p in model.parameters())
        shape = recipe.model.shape.replace("_", "-")
        print(
            f"{shape} of {n:,} parameters; {recipe.rows} rows of {recipe.model.n_ctx} tokens a "
            f"step; {source.steps_per_epoch:,.0f} steps an epoch",
            file=sys.stderr,
        )
    try:
        done = fit(
            model,
            source,
            recipe.settings,
            objective=recipe.objective,
            evaluate=evaluate,
            folder=options.out,
        )
    except KeyboardInterrupt:
        if world.first:
            print(f"interp: stopped; the same command goes on from {options.out}", file=sys.stderr)
        return 130
    if world.first:
        if options.json:
            print(json.dumps(dataclasses.asdict(done)))
        else:
            figures = "".join(f", {name} {value:.4f}" for name, value in done.figures.items())
            print(
                f"{done.steps:,} steps, {done.tokens:,} tokens in {done.seconds:,.0f} s: training "
                f"loss {done.loss:.4f}{figures}\n{options.out / 'model'} holds the model"
            )
    return 0


def _recipe(options: argparse.Namespace) -> Any:
    from interp.train.recipe import Recipe, read_recipe, standard_model
    from interp.train.settings import Settings

    changes = {name: _value(text) for name, text in (_pair(pair) for pair in options.setting)}
    for name in ("steps", "minutes", "learning_rate", "optimizer"):
        value = getattr(options, name)
        if value is not None:
            changes[name] = value
    # One of the two replaces the other of a recipe.
    if "steps" in changes:
        changes.setdefault("minutes", None)
    elif "minutes" in changes:
        changes.setdefault("steps", None)
    if options.recipe is not None:
        recipe = read_recipe(options.recipe)
        changes = {**recipe.settings.to_dict(), **changes}
    else:
        model = standard_model(
            options.shape,
            width=options.width,
            layers=options.layers,
            heads=options.heads,
            context=options.context,
            dropout=options.dropout,
        )
        if not {"steps", "minutes"} & changes.keys():
            changes["steps"] = 1000
        recipe = Recipe(model, Settings.from_dict(changes), rows=16)
    recipe = recipe.replace(settings=Settings.from_dict(changes))
    if options.batch_rows is not None:
        recipe = recipe.replace(rows=options.batch_rows)
    if options.seed is not None:
        recipe = recipe.replace(seed=options.seed)
    return recipe


def _pair(text: str) -> tuple[str, str]:
    from interp import ConfigError

    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--setting {text}: write NAME=VALUE, such as clip=0.5.")
    return name, value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"none": None, "true": True, "false": False}.get(text.lower(), text)
