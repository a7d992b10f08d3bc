"""Intervene, Steer: a direction between two sets of texts, beside random ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.apps.test_explorer import HOSTILE, alts, go


@pytest.fixture
def page(repository: Path) -> AppTest:
    app = AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=300)
    app.query_params["intervention"] = "Steer"
    return go(app.run(), "intervene")


def codes(page: AppTest) -> list[str]:
    return [element.value for element in page.code]


def test_a_direction_stands_beside_random_ones_for_every_shape(page: AppTest) -> None:
    assert "random directions of the same length" in alts(page)[0]
    plain, steered = codes(page)[-2:]
    page.slider(key="strength").set_value(0.0).run()
    assert codes(page)[-2:] == [plain, plain]
    page.slider(key="strength").set_value(8.0).run()
    assert codes(page)[-1] not in (plain, steered)
    for name in ("reviews", "translate-en-fr"):
        page.selectbox(key="model").set_value(name).run()
        assert "random directions" in alts(page)[0]
        assert not page.error


def test_sides_that_do_not_differ_or_are_empty_are_refused(page: AppTest) -> None:
    page.text_area(key="toward").set_value("The same.").run()
    page.text_area(key="away").set_value("The same.").run()
    assert [error.value for error in page.error] == ["The model cannot be steered this way."]
    page.text_area(key="away").set_value(" \n ").run()
    assert not page.error
    assert any("at least one text" in info.value for info in page.info)


def test_hostile_sides_are_literal(page: AppTest) -> None:
    before = [element.value for element in [*page.markdown, *page.caption]]
    page.text_area(key="toward").set_value(HOSTILE).run()
    assert not page.exception
    assert not page.error
    assert before == [element.value for element in [*page.markdown, *page.caption]]
