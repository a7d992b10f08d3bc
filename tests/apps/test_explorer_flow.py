"""Flow: what travels from the tokens to the prediction."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.apps.test_explorer import HOSTILE, alts, go, prompt


@pytest.fixture
def page(repository: Path) -> AppTest:
    app = AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=300)
    return go(app.run(), "flow")


def sums(page: AppTest) -> list[float]:
    """The target, what the tokens bring and what biases add, as the page states them."""
    (line,) = [text.value for text in page.text if text.value.startswith("logit")]
    found = re.search(r"= (\S+) = (\S+) \(.*\) ([+−]) (\S+) \(", line)
    assert found
    value, tokens, sign, biases = found.groups()
    parts = [float(text.replace("−", "-")) for text in (value, tokens, biases)]
    return [*parts[:2], -parts[2] if sign == "−" else parts[2]]


def test_the_parts_add_up_for_every_question_and_shape(page: AppTest) -> None:
    assert "brings most" in alts(page)[0]
    first = alts(page)
    page.selectbox(key="at").set_value(6).run()
    assert alts(page) != first
    page.selectbox(key="foil").set_value(3).run()
    for name in ("translate-en-fr", "induction"):
        page.selectbox(key="model").set_value(name).run()
        value, tokens, biases = sums(page)
        assert abs(tokens + biases - value) < 0.1  # of numbers with three digits
        assert alts(page)


def test_hostile_text_is_literal(page: AppTest) -> None:
    before = [element.value for element in [*page.markdown, *page.caption]]
    prompt(page, HOSTILE)
    assert not page.exception and not page.error
    assert before == [element.value for element in [*page.markdown, *page.caption]]
    assert "\u202e" not in alts(page)[0]
