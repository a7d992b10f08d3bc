"""The table of explainers and mechanisms, and where its controls end."""

from __future__ import annotations

from pathlib import Path

import pytest

import interp
from benchmarks import planted as benchmark
from benchmarks.planted import HEADS, Report, main
from interp.explain import METHODS
from interp.explain.planted import HAND_WRITTEN
from interp.explain.planted.suite import COMPILED, NORMED

FEW = ("additive", "redundant copies", "position only")
QUICK = ("integrated_gradients", "saliency")


@pytest.fixture(scope="module")
def done() -> Report:
    """A run of few models and explainers, one of which refuses every model."""

    def refuse(point: object) -> None:
        raise interp.UnsupportedModelError("not for this shape")

    makers = {name: HAND_WRITTEN[name] for name in FEW} | {
        "shift": COMPILED["shift"],
        "shift, norm": NORMED["shift, norm"],
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            benchmark,
            "suite",
            lambda seed, trained: ((name, make(seed)) for name, make in makers.items()),
        )
        patched.setitem(METHODS, "refuses", refuse)
        for name in list(METHODS):
            if name not in (*QUICK, "refuses"):
                patched.delitem(METHODS, name)
        return main(["--items", "12", "--seeds", "1"])


def value(report: Report, method: str, metric: str, mechanism: str | None = None) -> float:
    frame = report.tokens
    rows = frame[(frame["method"] == method) & (frame["metric"] == metric)]
    if mechanism is not None:
        rows = rows[rows["mechanism"] == mechanism]
    return float(rows["value"].mean())


@pytest.mark.parametrize("metric", ["auprc", "auprc causal", "auroc", "sign accuracy", "spearman"])
def test_the_oracle_row_is_one(done: Report, metric: str) -> None:
    assert value(done, "oracle", metric) == pytest.approx(1)


def test_chance_is_where_guessing_and_shuffled_truth_end(done: Report) -> None:
    chance = value(done, "random", "auprc chance")
    for method, metric in (
        ("random", "auprc"),
        ("random", benchmark.SHUFFLED),
        ("integrated_gradients", benchmark.SHUFFLED),
    ):
        frame = done.tokens
        rows = frame[(frame["method"] == method) & (frame["metric"] == metric)]["value"].dropna()
        assert abs(rows.mean() - chance) < 3.5 * rows.std() / len(rows) ** 0.5
    assert value(done, "integrated_gradients", "auprc") > 0.95


def test_known_failures_are_found(done: Report) -> None:
    """Where copies make up for one another, the gradient is 0 at the text, and not on the way."""
    copies = "redundant copies"
    assert value(done, "integrated_gradients", "auprc", copies) == 1
    assert value(done, "saliency", "auprc", copies) < 0.8
    assert value(done, "integrated_gradients", "false share", "position only") == 0


def test_heads_are_ranked_by_every_way_there_is(done: Report) -> None:
    assert {*HEADS, "oracle", "random", "chance"} == set(done.heads["method"])
    oracle = done.heads[done.heads["method"] == "oracle"]["value"]
    assert oracle.dropna().eq(1).all()
    assert {"hand-written", "compiled", "normed"} == set(done.heads["level"])
    shift = done.heads[done.heads["mechanism"] == "shift"].set_index("method")["value"]
    assert shift["patching, noising"].eq(1).all() and shift["patching, denoising"].eq(1).all()


def test_a_method_that_refuses_a_model_is_told_apart(done: Report) -> None:
    assert "refuses" not in set(done.tokens["method"])
    title, header, rows = next(done.tables())
    assert title == "Tokens" and all(len(row) == len(header) for row in rows)
    refused = next(row for row in rows if row[0] == "refuses")
    assert set(refused[1:]) == {"n/a"}
    for _, header, rows in done.tables():
        assert all(len(row) == len(header) for row in rows)


def test_the_page_gets_the_tables(
    done: Report,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- last run: begin -->\n<!-- last run: end -->\nafter\n", "utf-8")
    monkeypatch.setattr(benchmark, "PAGE", page)
    monkeypatch.setattr(benchmark, "run", lambda items, seeds, trained, data, log: done)
    main(["--write"])
    written = page.read_text("utf-8")
    assert written.startswith("before") and written.endswith("after\n")
    assert "| oracle |" in written and "### Cases on which explainers fail" in written
    assert "oracle" in capsys.readouterr().out


def test_no_items_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--items", "0"])
    assert "must be 1 at least" in capsys.readouterr().err
