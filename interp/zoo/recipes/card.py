"""Model cards: what a model is, how good, how made and of which texts, and what it is not for."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from interp.atomic import writing
from interp.model.transformer import HookedTransformer
from interp.train.loop import Fitted


def machine() -> str:
    """This machine in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"


@dataclass(frozen=True)
class Making:
    """How a model was made, to be repeated: a part of `training.json` and of the card.

    Attributes:
        command: that makes it again.
        seeds: of everything that was drawn.
        minutes: of training.
        precision: that products were computed in.
    """

    command: str
    seeds: Mapping[str, int]
    steps: int
    tokens: int
    minutes: float
    precision: str
    machine: str = field(default_factory=machine)
    torch: str = torch.__version__

    @classmethod
    def of(cls, done: Fitted, command: str, seeds: Mapping[str, int], precision: str) -> Making:
        """From what a training came to."""
        minutes = round(done.seconds / 60, 2)
        return cls(command, dict(seeds), done.steps, done.tokens, minutes, precision)


@dataclass(frozen=True)
class Card:
    """A model card.

    Attributes:
        name: of the model in the zoo.
        lead: what it is, in a sentence or two.
        example: Python that uses it, or a command.
        figures: columns `metric`, `value`, `ci_low`, `ci_high`, `n` and others, as measured with
            the weights that are stored.
        figures_note: what a reader must know to read them.
        making: of each training that led to it, by name.
        data: one line each: text, number, licence, address.
        limits: what it is for and what not.
        more: other sections, title -> Markdown.
    """

    name: str
    lead: str
    example: str
    figures: pd.DataFrame
    figures_note: str
    making: Mapping[str, Making]
    data: Sequence[str]
    limits: str
    more: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path, model: HookedTransformer) -> None:
        """Writes `README.md` and `training.json`."""
        parameters = sum(p.numel() for p in model.parameters())
        figures = json.loads(self.figures.to_json(orient="records", double_precision=6))
        record = {
            "name": self.name,
            "parameters": parameters,
            "figures": figures,
            "making": {name: vars(making) for name, making in self.making.items()},
        }
        with writing(folder / "training.json") as file:
            json.dump(record, file, indent=2)
            file.write("\n")
        with writing(folder / "README.md") as file:
            file.write(self.to_markdown(parameters, model.cfg))

    def to_markdown(self, parameters: int, cfg: Any) -> str:
        """The card as text."""
        sections = {
            "What it is": _shape(parameters, cfg),
            "How good it is": f"{_table(self.figures)}\n\n{self.figures_note}",
            **self.more,
            "How it was made": "\n\n".join(
                _making(name, making) for name, making in self.making.items()
            ),
            "Data": "\n".join(f"- {line}" for line in self.data),
            "What it is for, and what not": self.limits,
        }
        body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
        licence = "The weights and this card are under the MIT licence of this repository."
        return (
            f"# {self.name}\n\n{self.lead}\n\n```python\n{self.example.strip()}\n```\n\n"
            f"{body}\n\n{licence}\n"
        )


def _shape(parameters: int, cfg: Any) -> str:
    kinds = {"decoder": "decoder", "encoder": "encoder", "encoder_decoder": "encoder-decoder"}
    layers = f"{cfg.n_layers} blocks"
    if cfg.shape == "encoder_decoder":
        layers = f"{cfg.n_layers} + {cfg.n_decoder_layers} blocks"
    feed_forward = "attention only" if cfg.attn_only else f"feed-forward width {cfg.d_mlp}"
    return (
        f"{kinds[cfg.shape].capitalize()} of {parameters:,} parameters: {layers} of width "
        f"{cfg.d_model}, {cfg.n_heads} heads of {cfg.d_head}, {feed_forward}, vocabulary of "
        f"{cfg.d_vocab:,}, context of {cfg.n_ctx} tokens. Weights are stored in bfloat16; figures "
        "were measured with these weights in float32."
    )


def _making(name: str, m: Making) -> str:
    seeds = ", ".join(f"{what} {seed}" for what, seed in m.seeds.items())
    return (
        f"**{name}**: `{m.command}`\n\n{m.steps:,} steps, {m.tokens:,} tokens, {m.minutes:.1f} "
        f"minutes on {m.machine}, computed in {m.precision}, torch {m.torch}; seeds: {seeds}."
    )


def _table(figures: pd.DataFrame) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, float):
            return "" if pd.isna(value) else f"{value:,.4g}"
        return str(value)

    columns = [c for c in figures.columns if not figures[c].isna().all()]
    rows = [[cell(value) for value in row] for row in figures[columns].itertuples(index=False)]
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
