"""Which models the explorer offers, under which names, and with which text each begins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.catalog import examples, names, places
from interp.zoo import ZOO
from tests.apps.hostile import save

Give = Callable[..., dict[str, str]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Give:
    """Names models on the command line of the explorer; tells what they are called."""
    monkeypatch.chdir(tmp_path)

    def give(*models: str) -> dict[str, str]:
        monkeypatch.setattr(sys, "argv", ["explorer.py", *models])
        return {name: what for name, what in places().items() if what in models}

    return give


def test_a_folder_is_called_by_its_own_name(given: Give) -> None:
    assert given("runs/mine", "/a/other/") == {"mine": "runs/mine", "other": "/a/other/"}
    assert names()[:3] == ["mine", "other", "stories"]
    assert set(ZOO) < set(names())


@pytest.mark.parametrize(
    ("models", "called"),
    [
        (["may/model", "june/model"], ["may/model", "june/model"]),
        (["x/may/model", "y/may/model", "z"], ["x/may/model", "y/may/model", "z"]),
        (["a/x/model", "b/x/model", "a/y/model"], ["a/x/model", "b/x/model", "y/model"]),
        (["runs/stories"], ["runs/stories"]),
        (["one", "./one"], ["one"]),
        (["stories", "stories"], ["stories"]),
        (["/model", "/x/model"], ["/model", "x/model"]),
    ],
)
def test_models_of_one_name_are_told_apart_by_their_folders(
    given: Give, models: list[str], called: list[str]
) -> None:
    assert list(given(*models)) == called
    assert set(ZOO) <= set(names())


def test_a_model_without_a_tokenizer_begins_with_numbers(given: Give, tmp_path: Path) -> None:
    save(tmp_path / "words")
    save(tmp_path / "numbers", tokenizer=False)
    for step in (0, 10):
        save(tmp_path / "run" / "checkpoints" / f"step-{step:08d}", tokenizer=False)
    (tmp_path / "elsewhere").mkdir()
    given("words", "numbers", "run", "elsewhere", "org/name")
    for name in ("numbers", "run"):
        for example in examples(name):
            assert all(word.isdecimal() for word in f"{example.text} {example.other}".split())
    for name in ("words", "elsewhere", "name"):
        assert not any(example.text[0].isdecimal() for example in examples(name))
