"""The page of a training, run as Streamlit runs it, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest


@pytest.fixture
def page(repository: Path) -> AppTest:
    path = str(repository / "apps" / "explorer.py")
    page = AppTest.from_file(path, default_timeout=300).run()
    page.switch_page("views/training.py").run()
    assert not page.exception
    return page


def alts(page: AppTest) -> list[str]:
    assert not page.exception
    return [chart.proto.alt for chart in page.get("vega_lite_chart")]


def test_a_model_without_checkpoints_is_told_so(page: AppTest) -> None:
    assert alts(page) == []
    assert any("no run" in info.value for info in page.info)


def test_a_run_shows_its_loss_then_its_heads_then_its_layers(page: AppTest) -> None:
    page.selectbox(key="model").set_value("induction").run()
    assert len(alts(page)) == 1 and alts(page)[0].startswith("The loss goes from 4.")
    page.button(key="heads_start").click().run()
    assert "31 checkpoints" in alts(page)[1]
    page.button(key="lens_start").click().run()
    assert len(alts(page)) == 3
    before = alts(page)
    page.radio(key="lens_figure").set_value("kl").run()
    assert alts(page)[2] != before[2]
    page.selectbox(key="head_score").set_value("previous").run()
    best = float(alts(page)[1].split("step 2,000, ")[1].split(" of")[0])
    assert best > 0.3
    page.select_slider(key="step").set_value(100).run()
    assert all("At the chosen step 100" in alt for alt in alts(page))
