"""Thresholds: what is not kept is named, and what means nothing is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.audit.gate import Thresholds
from interp import InputError, LoadError
from tests.apps.audit.made import several


def broken(tmp_path: Path, toml: str) -> list[str]:
    path = tmp_path / "thresholds.toml"
    path.write_text(toml, "utf-8")
    return Thresholds.read(path).breaches(several())


@pytest.mark.parametrize(
    "toml",
    [
        "",
        '[measures]\n"performance.accuracy" = { min = 0.8 }',
        '[measures]\n"performance.accuracy" = { min = 0, max = 0.8 }',
        "[findings]\nrisk = 2",
        '[findings]\nrisk = 0\nallow = ["shortcuts.small", "shortcuts.large"]',
        '[findings]\nrisk = 1\nallow = ["shortcuts.small"]',
    ],
)
def test_what_is_kept_passes(tmp_path: Path, toml: str) -> None:
    assert broken(tmp_path, toml) == []


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[measures]\n"performance.accuracy" = { min = 0.81 }', "0.800, below 0.810"),
        ('[measures]\n"shortcuts.largest" = { max = 0.5 }', "0.900, above 0.500"),
        ('[measures]\n"performance.odd" = { max = 1 }', "performance.odd is no number"),
        ('[measures]\n"privacy.exposure" = { max = 1 }', "no texts"),
        ('[measures]\n"data.duplicates" = { max = 1 }', "was not asked"),
        ("[findings]\nunknown = 0", "privacy.refused (unknown)"),
    ],
)
def test_what_is_not_kept_is_named(tmp_path: Path, toml: str, said: str) -> None:
    (sentence,) = broken(tmp_path, toml)
    assert said in sentence


def test_every_finding_beyond_the_number_is_named(tmp_path: Path) -> None:
    assert len(broken(tmp_path, "[findings]\nrisk = 1")) == 2


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("measures = 1", "no table"),
        ("[measure]", "near it are measures"),
        ('[measures]\n"performance.acuracy" = { min = 1 }', "near it are performance.accuracy"),
        ('[measures]\n"perfomance.accuracy" = { min = 1 }', "near it are performance"),
        ('[measures]\n"performance.accuracy" = 0.7', "min = 0.5"),
        ('[measures]\n"performance.accuracy" = { least = 0.7 }', "min = 0.5"),
        ('[measures]\n"performance.accuracy" = { min = "0.7" }', "all of them numbers"),
        ("[findings]\nrisks = 0", "near it are risk"),
        ("[findings]\nrisk = -1", "not a number of them"),
        ("[findings]\nrisk = true", "not a number of them"),
        ('[findings]\nallow = "x"', "list of keys"),
        ('[findings]\nallow = ["privcy.exposure"]', "near it are privacy"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        broken(tmp_path, toml)


@pytest.mark.parametrize("bound", ["nan", "inf", "-inf", "1" + "0" * 400])
def test_a_bound_that_nothing_can_break_is_refused(tmp_path: Path, bound: str) -> None:
    with pytest.raises(InputError, match="all of them numbers"):
        broken(tmp_path, f'[measures]\n"performance.accuracy" = {{ min = {bound} }}')


def test_a_file_that_is_not_there_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"no none\.toml"):
        Thresholds.read(tmp_path / "none.toml")
    for text in ("[measures", "a = " + "[" * 5_000, "a." * 20_000 + "a = 1"):
        with pytest.raises(LoadError, match=r"\.toml"):
            broken(tmp_path, text)
