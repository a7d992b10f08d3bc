"""A recommendation in words, in a table and on a page says what the numbers say."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp.errors import InputError
from interp.figures.amounts import short
from interp.train.size import PUBLISHED, recommend
from interp.train.size.page import to_html
from interp.train.size.words import aligned, counting_cells, describe, shape_cells
from tests.train.size.test_laws import a_law
from tests.train.size.test_recommendation import DRAWS, SPEED

FOUND = recommend(
    seconds=3600,
    law=a_law(draws=DRAWS, bytes_per_token=3.5),
    speed=SPEED,
    unique_tokens=1e6,
)


def test_the_words_name_shape_tokens_loss_and_counting() -> None:
    text, best = "\n".join(describe(FOUND)), FOUND.best
    assert f"With 1 h, train a decoder of width {best.shape.d_model}" in text
    assert f"{best.steps:,} steps of {best.tokens_per_step:,}" in text
    assert f"read {best.epochs:.1f} times" in text
    assert f"{best.loss:.2f} nats per token ({best.loss / 0.6931 / 3.5:.2f} bits per byte)" in text
    assert f"between {best.ci_low:.2f} and {best.ci_high:.2f} (95%)" in text
    assert "('matrices')" in text and "counted as 'all'" in text and "counted as 'blocks'" in text
    assert "a test; 12 runs" in text


def test_half_and_double_are_those_of_the_frontier() -> None:
    text = "\n".join(describe(FOUND))
    rows = FOUND.frontier.set_index("factor")
    for factor, name in ((0.5, "Half"), (2.0, "twice")):
        row = rows.loc[factor]
        size = short(row["parameters_matrices"])
        assert f"{name} the budget would reach {row['loss']:.2f} with {size} parameters" in text


def test_the_cheaper_model_costs_half_at_most() -> None:
    (line,) = [line for line in describe(FOUND) if "times less to use" in line]
    times = float(line.split("costs ")[1].split()[0])
    width = int(line.split("width ")[1].split(",")[0])
    (cheap,) = [plan for plan in FOUND.plans if plan.shape.d_model == width]
    assert times >= 2 and f"would reach {cheap.loss:.2f}" in line


def test_a_law_without_draws_has_no_interval_in_words() -> None:
    found = recommend(flops=1e20, law=PUBLISHED["besiroglu"])
    assert "without what an interval needs" in "\n".join(describe(found))
    assert {line[-1] for line in shape_cells(found)[1:]} == {"-"}


def test_the_table_marks_the_recommended_row() -> None:
    header, *rows = shape_cells(FOUND)
    assert all(len(row) == len(header) for row in rows) and len(rows) == min(9, len(FOUND.plans))
    (marked,) = [row for row in rows if row[0] == ">"]
    assert marked[1] == f"{FOUND.best.shape.d_model} × {FOUND.best.shape.n_layers}"
    lines = aligned([header, *rows]).splitlines()
    assert len({line.index("×") for line in lines}) <= 2 and len(lines) == 1 + len(rows)


def test_each_way_of_counting_has_its_row() -> None:
    others = [
        recommend(seconds=3600, law=a_law(counting=name), speed=SPEED) for name in ("all", "blocks")
    ]
    cells = counting_cells([FOUND, *others])
    assert [row[0] for row in cells] == ["counted", "matrices", "all", "blocks"]


def test_the_page_is_written_whole_or_not(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    path = tmp_path / "size.html"
    text = to_html(FOUND, path)
    assert path.read_text("utf-8") == text and text.count("<img") == 2
    for warning in FOUND.warnings:
        assert f"Warning: {warning}" in text
    with pytest.raises(InputError, match="cannot be written"):
        to_html(FOUND, tmp_path / "size.html" / "inside.html")
    assert list(tmp_path.iterdir()) == [path]
