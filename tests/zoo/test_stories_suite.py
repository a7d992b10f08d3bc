"""The zoo suite `stories-suite`: what its card says holds for its weights."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import interp
from interp.zoo import zoo_folder
from interp.zoo.recipes import stories, stories_suite

FOLDER = zoo_folder("stories-suite")


@pytest.fixture(scope="module")
def run() -> interp.Run:
    return interp.Run.open("stories-suite")


def test_the_suite_is_whole_and_small(run: interp.Run) -> None:
    assert run.audit().empty
    assert tuple(run.steps) == stories_suite.KEPT and len(run) >= 12
    assert len(run.log) == stories_suite.STEPS
    weights = sum(p.stat().st_size for p in FOLDER.rglob("*.safetensors"))
    last = run.load(run.steps[-1])
    assert all(map(torch.equal, interp.load("stories-suite").parameters(), last.parameters()))
    assert weights + sum(p.stat().st_size for p in zoo_folder("stories").glob("*.safetensors")) < (
        18_000_000
    )


def test_it_learns_from_step_to_step(run: interp.Run) -> None:
    record: Any = json.loads((FOLDER / "training.json").read_text("utf-8"))
    rows = record["figures"]
    books = [row["bits per byte, held-out books"] for row in rows]
    assert [row["step"] for row in rows] == list(stories_suite.KEPT)
    assert books[0] > 3.4 and books[-1] < 1.8 and books == sorted(books, reverse=True)
    losses = []
    for step in (0, 512, run.steps[-1]):
        model = run.load(step)
        ids = model.to_tokens("Once upon a time there was a little girl who lived in a house.")
        with torch.no_grad():
            losses.append(float(model(ids, return_type="loss")))
    assert losses[0] > losses[1] > losses[2]


def test_copying_is_as_stated(run: interp.Run) -> None:
    record: Any = json.loads((FOLDER / "training.json").read_text("utf-8"))
    first, second = stories.copying(run.load(run.steps[-1]))
    stated = record["figures"][-1]["gain on repeated random tokens, nats"]
    assert first - second == pytest.approx(stated, abs=0.02)
