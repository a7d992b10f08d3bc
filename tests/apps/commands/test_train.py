"""`interp train`: from a packed corpus to a run, for every shape, and on after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import interp
from apps.cli import main
from interp.data.corpus import pack
from interp.data.corruption import sentinels
from interp.data.tokenizing import train_tokenizer
from interp.train.recipe import Recipe, read_recipe

TEXTS = [
    f"the {a} {b} sat on the {c} mat and saw {i} dogs ."
    for i in range(8)
    for a in ("old", "red", "big")
    for b in ("cat", "king")
    for c in ("soft", "wet")
]
KINDS: dict[str, dict[str, Any]] = {
    "decoder": {"kind": "bpe"},
    "encoder": {"kind": "wordpiece", "shape": "encoder"},
    "encoder_decoder": {
        "kind": "unigram",
        "shape": "encoder_decoder",
        "extra": sentinels(10),
    },
}
SMALL = ["--width", "16", "--layers", "1", "--heads", "2", "--context", "24", "--batch-rows", "4"]
QUICK = [*SMALL, "--device", "cpu", "--setting", "precision=float32"]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpora")
    found = {}
    for shape, how in KINDS.items():
        tokenizer = train_tokenizer(TEXTS, d_vocab=330, **how)
        pack(TEXTS, tokenizer, folder / shape)
        found[shape] = folder / shape
    return found


@pytest.mark.parametrize("shape", KINDS)
def test_every_shape_trains_and_opens(
    shape: str, corpora: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = str(corpora[shape]), tmp_path / "run"
    arguments = ["train", corpus, "--dev", corpus, "--out", str(out), "--shape", shape, *QUICK]
    assert main([*arguments, "--steps", "60", "--learning-rate", "0.01", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    run = interp.Run.open(out)
    assert result["steps"] == 60 and run.steps[-1] == 60
    assert result["figures"]["loss"] < run.log["loss"].iloc[0]
    assert ("bits_per_byte" in result["figures"]) == (shape == "decoder")
    model = run.final
    assert model.cfg.shape == shape and model.tokenizer is not None
    assert len(run.batch(3)) == 4  # what that step read can be shown


def test_a_training_goes_on_where_it_was(
    corpora: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(corpora["decoder"]), "--out", str(tmp_path / "run"), *QUICK]
    constant = ["--setting", "schedule=constant"]
    assert main([*arguments, *constant, "--steps", "5"]) == 0
    assert main([*arguments, *constant, "--steps", "8"]) == 0
    assert list(interp.Run.open(tmp_path / "run").log["step"]) == list(range(1, 9))
    assert main([*arguments, *constant, "--steps", "8", "--learning-rate", "0.1"]) == 2
    assert "learning_rate" in capsys.readouterr().err


def test_a_recipe_is_a_python_file(corpora: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "recipe.py"
    path.write_text(
        "from interp.train.recipe import Recipe, standard_model\n"
        "from interp.train.settings import Settings\n"
        "model = standard_model(width=16, layers=1, heads=1, context=16)\n"
        "RECIPE = Recipe(model, Settings(minutes=9.0, precision='float32'), rows=3, seed=4)\n"
    )
    recipe = read_recipe(path)
    assert isinstance(recipe, Recipe) and recipe.seed == 4
    out = tmp_path / "run"
    command = ["train", str(corpora["decoder"]), "--out", str(out), "--recipe", str(path)]
    assert main([*command, "--steps", "3", "--setting", "clip=0.5", "--device", "cpu"]) == 0
    run = interp.Run.open(out)
    assert run.about["settings"]["clip"] == 0.5 and run.about["settings"]["minutes"] is None
    assert len(run.batch(0)) == 3


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--setting", "clip"], "NAME=VALUE"),
        (["--setting", "clop=1"], "no setting clop"),
        (["--steps", "1", "--minutes", "1"], "either"),
        (["--recipe", "absent.py"], "no Python file"),
        (["--context", "100000"], "tokens"),
        (["--shape", "encoder"], "mask"),
    ],
    ids=str,
)
def test_wrong_use_is_one_clear_line(
    extra: list[str],
    words: str,
    corpora: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["train", str(corpora["decoder"]), "--out", str(tmp_path / "run"), *QUICK, *extra]
    assert main(command) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("interp: ") and words in error
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_recipe_that_is_none_is_refused(tmp_path: Path) -> None:
    for text, words in (("x = 1\n", "no RECIPE"), ("1 / 0\n", "ZeroDivisionError")):
        (tmp_path / "recipe.py").write_text(text)
        with pytest.raises(interp.LoadError, match=words):
            read_recipe(tmp_path / "recipe.py")
