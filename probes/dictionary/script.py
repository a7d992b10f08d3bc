"""Dictionaries of several sizes for a model, and how much of it each keeps, as a script."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from interp.errors import InputError
from interp.figures.dictionary import frontier_chart
from interp.model.hook_points import resolve
from probes.dictionary.coder import Coder
from probes.dictionary.exchange import CONFIG, load, save
from probes.dictionary.metrics import evaluate
from probes.dictionary.settings import Kind, Settings
from probes.dictionary.stream import ModelRows
from probes.dictionary.training import STATE, train
from probes.passages import add_text_arguments, named_texts, passages, read_texts
from probes.script import Script
from probes.subjects import short_hash


def dictionaries(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    """Trains what is not in the folder yet, and measures each dictionary on the texts."""
    examples = read_texts(model, options, masked=model.cfg.shape == "encoder")
    frames = []
    for kind in options.kind:
        for l0 in options.l0:
            coder = _trained(model, options, kind, l0)
            frame, _ = evaluate(model, coder, examples)
            found = {"site": coder.site, "kind": kind, "latents": coder.latents, "wanted_l0": l0}
            frames.append(frame.assign(**found))
    return pd.concat(frames, ignore_index=True)


def _trained(model: Any, options: argparse.Namespace, kind: Kind, l0: int) -> Coder:
    settings = Settings(
        kind=kind,
        latents=options.latents or 8 * model.cfg.d_model,
        l0=l0,
        steps=options.train_steps,
        rate=options.learning_rate,
        dead_after=options.dead_after,
        seed=options.seed,
    )
    site = resolve(model.hook_points, options.site)
    target = (
        site if options.target_site is None else resolve(model.hook_points, options.target_site)
    )
    name = f"{short_hash(model)}-{site}-{kind}-{settings.latents}-{l0}"
    folder = options.folder / (name if target == site else f"{name}-{target}")
    if (folder / CONFIG).is_file():
        coder = load(folder)
        if coder.about.get("settings") != settings.of_result():
            raise InputError(
                f"{folder} holds a dictionary of other settings ({coder.about.get('settings')}). "
                "Give another --folder, or remove it."
            )
        return coder
    texts = [t for name in options.learn for t in named_texts(name, options.data, "train")]
    examples = passages(model, texts, most=options.train_tokens)
    rows = ModelRows(
        model, examples, site, options.target_site, rows=options.batch_tokens, seed=options.seed
    )
    coder = train(
        rows,
        settings,
        site=site,
        target=target,
        folder=folder,
        about={"model": model.cfg.model_name, "model_hash": short_hash(model)},
        progress=True,
    )
    save(coder, folder)
    (folder / STATE).unlink(missing_ok=True)
    return coder


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", required=True, metavar="NAME", help="the hook point to read")
    parser.add_argument(
        "--target-site", metavar="NAME", help="of a transcoder, the hook point to write (--site)"
    )
    parser.add_argument(
        "--kind", nargs="+", choices=get_args(Kind), default=["topk"], help="topk by default"
    )
    parser.add_argument("--latents", type=int, metavar="N", help="8 times the width by default")
    parser.add_argument(
        "--l0", nargs="+", type=int, default=[32], metavar="N", help="active latents at a token"
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="where dictionaries are kept and found again"
    )
    parser.add_argument(
        "--learn", nargs="+", required=True, metavar="NAME|FILE", help="texts to train on"
    )
    parser.add_argument(
        "--train-tokens", type=int, metavar="N", help="read so many of them; all by default"
    )
    parser.add_argument("--train-steps", type=int, default=1000, metavar="N")
    parser.add_argument(
        "--batch-tokens", type=int, default=1024, metavar="N", help="in a batch (1024)"
    )
    parser.add_argument(
        "--learning-rate", type=float, default=Settings.rate, metavar="R", help="the highest"
    )
    parser.add_argument("--dead-after", type=int, default=Settings.dead_after, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    add_text_arguments(parser)


SCRIPT = Script(
    name="dictionary",
    summary="Sparse dictionaries of activations: how few latents keep how much of the model.",
    examples=(
        "  python -m probes.dictionary --run stories --site blocks.2.hook_resid_post \\\n"
        "    --l0 16 32 64 --learn childrens_stories standard_ebooks --texts childrens_stories \\\n"
        "    --data DATA --folder dictionaries --out dictionary.parquet --chart dictionary.html"
    ),
    measure=dictionaries,
    chart=frontier_chart,
    add_arguments=_add_arguments,
)
