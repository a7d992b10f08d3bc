"""`interp size` as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interp.train.size import PUBLISHED, recommend
from tests.apps.test_cli import run
from tests.train.size.test_fitting import SMALL, runs_of
from tests.train.size.test_recommendation import SPEED

FLOPS = ("--flops", "1e20", "--law", "besiroglu")


@pytest.fixture
def runs(tmp_path: Path) -> str:
    """A file of someone's own runs."""
    runs_of(SMALL, noise=1e-3).to_csv(path := tmp_path / "mine.csv", index=False)
    return str(path)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine of known speed; the list grows with each measuring."""
    calls: list[int] = []

    def measure(shapes: object) -> object:
        calls.append(1)
        return SPEED

    monkeypatch.setattr("interp.train.size.recommendation.measure_speed", measure)
    return calls


def test_the_answer_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("size", *FLOPS, "--json", capsys=capsys)
    expected = recommend(flops=1e20, law=PUBLISHED["besiroglu"]).to_dict()
    assert code == 0 and json.loads(out) == json.loads(json.dumps(expected))


def test_words_come_with_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("size", *FLOPS, capsys=capsys)
    assert code == 0 and out.startswith("With 1e+20 FLOPs, train a decoder")
    assert "Besiroglu et al. 2024" in out and "\n>" in out and "warning" not in out


def test_own_runs_give_the_law_and_far_budgets_a_warning(
    runs: str, measured: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("size", "--runs", runs, "--counting", "blocks")
    code, out, _ = run(*words, "--seconds", "1e9", "--data-tokens", "1e6", capsys=capsys)
    assert code == 0 and "30 runs in mine.csv" in out and "('blocks')" in out
    assert "warning: The law is stretched" in out and "warning: The data limit" in out
    assert len(measured) == 1


def test_the_law_of_the_package_is_shown_in_every_counting(
    measured: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run("size", "--seconds", "600", capsys=capsys)
    table = out.split("What is counted changes the answer:\n")[1].splitlines()
    assert code == 0 and [line.split()[0] for line in table[1:4]] == ["matrices", "all", "blocks"]
    assert len(measured) == 1  # once for all three


def test_the_page_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("vl_convert")
    page = tmp_path / "size.html"
    code, out, _ = run("size", *FLOPS, "--out", str(page), capsys=capsys)
    assert code == 0 and out.endswith(f"written: {page}\n")
    assert page.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--flops", "-1"), "positive"),
        (("--flops", "1e20", "--law", "newton"), "stories, hoffmann, besiroglu"),
        ((*FLOPS, "--counting", "blocks"), "do not hold"),
        ((*FLOPS, "--counting", "toes"), "matrices, all, blocks"),
        (("--flops", "1e9", "--runs", "absent.csv"), "absent.csv"),
        (("--seconds", "60", "--data-tokens", "0"), "some to learn from"),
        (("--flops", "1e15", "--context", "0"), "context is 0"),
        (("--flops", "1e15", "--out", "/dev/null/size.html"), "cannot be written"),
    ],
)
def test_refused_input_is_one_line_and_code_2(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run("size", *arguments, capsys=capsys)
    assert (code, out) == (2, "") and err.startswith("interp: ") and says in err
    assert err.count("\n") == 1


def test_one_budget_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("size", capsys=capsys)[0] == 2
    assert run("size", "--seconds", "1", "--flops", "1", capsys=capsys)[0] == 2
