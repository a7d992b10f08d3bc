"""The command runs, and its report says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import hooks, opening, report
from benchmarks.measure import Ratio
from benchmarks.peers import EARLY, FULL_CACHE, HF, INTERP, NAMES, TWIN, Shape
from benchmarks.report import OWN, Line, Report, Target

TINY = Shape("tiny", width=16, n_layers=2, n_heads=2, d_vocab=31, n_ctx=16, batch=2, pos=8)


def test_quick_mode_measures_every_contestant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "SMALL", TINY)
    monkeypatch.setattr(hooks, "starting", lambda plan: [])  # imports of whole libraries: slow
    done = hooks.main(["--quick", "--json", str(tmp_path / "figures.json")])
    printed = capsys.readouterr().out
    names = {line.name: line for line in done.lines}
    assert {INTERP, HF, TWIN} <= names[hooks.FORWARD].values.keys()
    assert {INTERP, HF, TWIN} <= names[hooks.EAGER].values.keys()
    assert OWN in names[FULL_CACHE].ratios and OWN in names[EARLY].ratios
    assert all(name in printed for name in (*NAMES, *names))
    # Three streams of 2 x 8 positions of 16 numbers, the ids of 8 positions, and the logits of one,
    # by which a change of the weights is noticed: nothing else.
    assert names[hooks.HELD].values[INTERP] == 3 * 2 * 8 * 16 * 4 + 8 * 8 + 31 * 4
    written = json.loads((tmp_path / "figures.json").read_text())
    assert [line["name"] for line in written["lines"]] == [line.name for line in done.lines]


@pytest.mark.slow
def test_opening_is_measured_in_time_and_memory() -> None:
    found, size = opening.measure_opening(TINY, 1)
    assert {HF, TWIN} <= found.keys()
    assert size > 16 * 31 * 4  # its token table alone
    assert all(sample["seconds"] > 0 for sample in found.values())


def test_a_target_is_met_up_to_its_limit() -> None:
    assert Target("at the limit", 1.05, 1.05).met
    assert Target("rounds to the limit", 1.0504, 1.05).met
    assert not Target("beyond", 1.06, 1.05).met


def test_targets_are_read_from_their_lines() -> None:
    section = "GPT-2 small, 4 x 128, float32"
    ratios = {HF: Ratio(1.2, 1.1, 1.3), OWN: Ratio(0.4, 0.4, 0.4)}
    lines = [
        Line(section, hooks.FORWARD, "ms", {INTERP: 0.6, HF: 0.5}, ratios),
        Line(section, EARLY, "ms", {INTERP: 0.2}, ratios),
        Line(section, hooks.HELD, "MiB", {INTERP: 20 * 2**20}),
        Line(f"{hooks.OPENING} (500 MiB)", hooks.PRIVATE, "MiB", {INTERP: 550 * 2**20}),
    ]
    found = {target.name: (target.measured, target.met) for target in hooks.targets(lines)}
    assert found == {
        "forward at GPT-2 small / HF": (1.2, False),
        "MiB held by the cache": (20, True),
        "stream after block 5 of 12 / own forward": (0.4, True),
        "memory of opening / file": (1.1, True),
    }


def test_tables_show_the_absent_and_convert_units() -> None:
    line = Line("shape", "forward", "ms", {INTERP: 0.0123, HF: 0.5}, {HF: Ratio(0.5, 0.4, 0.6)})
    assert line.cells() == ["forward", "12.3 ms", "500 ms", "-", "-", "0.50 ±0.10", "", "", ""]
    markdown = Report({"processor": "some"}, [line], []).to_markdown()
    assert "| **shape** |" in markdown and "| 12.3 ms | 500 ms | - | - | 0.50 ±0.10 |" in markdown
    widths = {row.count("|") for row in markdown.splitlines() if row.startswith("| ")}
    assert len(widths) == 2  # the table of lines and that of targets


def test_a_page_keeps_its_prose_and_gets_new_tables(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    place = "<!-- {0}: begin -->\n{1}\n<!-- {0}: end -->\n".format
    page.write_text("before\n" + place("last run", "old") + place("other", "kept"))
    report.write_between_markers(page, r"new \1 table")
    report.write_between_markers(page, r"newer \1 table")
    expected = "before\n" + place("last run", r"newer \1 table") + place("other", "kept")
    assert page.read_text() == expected
    page.write_text("nothing to replace")
    with pytest.raises(ValueError, match="markers"):
        report.write_between_markers(page, "new")


def test_the_documentation_has_room_for_the_tables() -> None:
    text = hooks.PAGE.read_text(encoding="utf-8")
    places = ["last run", *(f"training {how}" for how in ("cpu eager", "cpu compiled"))]
    for place in places:
        assert text.count(f"<!-- {place}: begin -->") == text.count(f"<!-- {place}: end -->") == 1
