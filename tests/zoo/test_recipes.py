"""Recipes go from data to a folder that opens, with a card of what was measured."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import interp
from apps.cli import main
from interp.data.records import Example, Pair
from interp.model.transformer import HookedTransformer
from interp.zoo.recipes import RECIPES, induction, planted, reviews, translate
from interp.zoo.recipes.card import Card, Making
from interp.zoo.recipes.export import rounded, save_suite
from tests.train.runs import Counting, settings, tiny


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_called_by_the_command(name: str) -> None:
    entry = RECIPES[name]
    wanted = inspect.signature(entry.build).parameters
    assert list(wanted)[:2] == ["out", "work"]
    assert ("data" in wanted) == entry.reads_data and wanted.keys() >= entry.given.keys()
    required = {n for n, p in wanted.items() if p.default is inspect.Parameter.empty}
    assert required <= {"out", "work", "data"}


def test_the_command_refuses_what_it_cannot_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "x")]
    for arguments, words in (
        (["no-such", *out], "no recipe"),
        (["stories", *out], "--data"),
        (["induction", *out, "--minutes", "1"], "fixed number"),
        (["induction", *out, "--seed", "1"], "fixed seed"),
    ):
        assert main(["zoo", "build", *arguments]) == 2
        assert words in capsys.readouterr().err
    assert main(["zoo", "list"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} >= RECIPES.keys()


# -- cards and folders -----------------------------------------------------------------------------


def test_a_card_says_what_was_measured(tmp_path: Path) -> None:
    model = tiny()
    frame = pd.DataFrame({"metric": ["a", "b"], "value": [0.12345, 2.0], "ci_low": [0.1, None]})
    making = Making("interp zoo build x", {"weights": 3}, 12, 3456, 1.5, "float32")
    card = Card(
        "x", "A lead.", "import interp", frame, "A note.", {"one": making}, ["Text."], "No."
    )
    card.write(tmp_path, model)
    text = (tmp_path / "README.md").read_text()
    n = sum(p.numel() for p in model.parameters())
    for part in (
        f"{n:,} parameters",
        "| a | 0.1235 | 0.1 |",
        "3,456 tokens",
        "weights 3",
        "A note.",
    ):
        assert part in text
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["parameters"] == n and record["figures"][0]["value"] == 0.12345
    assert record["making"]["one"]["seeds"] == {"weights": 3}


def test_a_suite_is_stored_in_two_bytes_a_weight(tmp_path: Path) -> None:
    interp.fit(tiny(), Counting(), settings(), folder=tmp_path / "run", progress=False)
    run = interp.Run.open(tmp_path / "run")
    save_suite(run, tmp_path / "suite", [0, 4, 12])
    suite = interp.Run.open(tmp_path / "suite")
    assert suite.steps == [0, 4, 12] and suite.audit().empty and len(suite.log) == 12
    n = sum(p.numel() for p in tiny().parameters())
    file = tmp_path / "suite" / "checkpoints" / "step-00000012" / "model.safetensors"
    assert 2 * n < file.stat().st_size < 2 * n + 5000
    for stored, exact in zip(suite.load(-1).parameters(), run.load(-1).parameters(), strict=True):
        assert torch.equal(stored, exact.bfloat16().float())
    model = tiny()
    before = [p.clone() for p in model.parameters()]
    rounded(model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


# -- induction -------------------------------------------------------------------------------------


def test_repeats_point_at_what_came_after_the_last_time() -> None:
    tokens, labels, after = induction.repeats(step=7)
    known = after >= 0
    assert 0.4 < known.float().mean() < 0.8
    rows, places = known.nonzero(as_tuple=True)
    # What stands there is what comes next: the text repeats itself.
    assert torch.equal(tokens[rows, after[rows, places]], labels[rows, places])
    assert (after < torch.arange(tokens.shape[1]) + 1).all()


def test_scores_and_ablations_see_a_head_that_is_put_there() -> None:
    """Attention is set by hooks: on the place after the last time, or evenly."""
    model = HookedTransformer(induction.CONFIG)
    _, _, after = induction.repeats()
    index = after.clamp(min=0)[:, None, :, None]

    def exactly(pattern: torch.Tensor, hook: Any) -> torch.Tensor:
        pattern[:, 2:3] = torch.zeros_like(pattern[:, 2:3]).scatter(-1, index, 1.0)
        return pattern

    with model.hooks([("blocks.1.attn.hook_pattern", exactly)]):
        scores = induction.induction_scores(model)
        assert induction.top_heads(model, 1) == [(1, 2)]
    assert scores.shape == (2, 4) and scores[1, 2] == pytest.approx(1.0)
    assert scores[0].max() < 0.2
    plain = induction.loss_on_repeats(model)
    assert plain != induction.loss_on_repeats(model, [(1, 2)])
    assert plain == pytest.approx(induction.loss_on_repeats(model, []))


def test_a_rise_is_between_the_last_low_and_the_first_high() -> None:
    frame = pd.DataFrame({"step": [0, 1, 2, 3, 4], "score": [0.01, 0.04, 0.03, 0.2, 0.6]})
    assert induction.rise(frame) == (2, 4)
    assert induction.rise(frame.head(4)) is None


# -- texts -----------------------------------------------------------------------------------------


def test_no_held_out_sentence_is_read_in_pre_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {
        ("sentence_polarity", "train"): [Example("good one .", "pos")],
        ("sentence_polarity", "dev"): [Example("a dev line .", "neg")],
        ("sentence_polarity", "test"): [Example("A Test line !", "neg")],
        ("movie_reviews", "train"): [Example("some plot .\na test line\nthe end", "pos")],
        ("subjectivity", "test"): [Example("a dev line.", "subjective"), Example("fine", "x")],
    }
    monkeypatch.setattr(reviews, "read_set", lambda name, data, split: sets.get((name, split), []))
    assert reviews.unlabelled(tmp_path) == ["some plot .\nthe end", "fine", "good one ."]


@pytest.mark.slow
def test_planted_words_decide_and_stand_in_no_sentence(shared_data: Path) -> None:
    found = planted.planted(shared_data, "test")
    with_word = [p for p in found if p.span]
    assert 0.45 < len(with_word) / len(found) < 0.55
    for p in with_word:
        assert p.text[slice(*p.span)] == planted.WORDS[p.label]
    contradicted = sum(p.label != p.original for p in with_word) / len(with_word)
    assert 0.42 < contradicted < 0.58


def test_a_translation_model_starts_where_its_data_start() -> None:
    pairs = [Pair("a cat sat .", ("un chat .", "le chat .")), Pair("a dog ran .", ("un chien .",))]
    tokenizer = translate.joint_tokenizer(pairs, 300)
    model = HookedTransformer(translate.config(tokenizer), tokenizer)
    source = translate.TASK.source(model, pairs, tokens=200)
    batch = source.batch(0)
    assert len(source) == 3  # every translation of every sentence
    assert (batch.inputs["decoder_tokens"][:, 0] == model.cfg.decoder_start_token_id).all()
    assert torch.isfinite(model(**batch.inputs)).all()
