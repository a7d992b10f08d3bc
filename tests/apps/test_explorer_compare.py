"""Compare: two sides on one scale."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.apps.test_explorer import HOSTILE, alts, go, prompt, strips
from tests.figures.markup import read_html


@pytest.fixture
def page(repository: Path) -> AppTest:
    app = AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=300)
    return go(app.run(), "compare")


def second(page: AppTest, text: str) -> None:
    page.text_area(key="other_text").set_value(text)
    next(button for button in page.button if button.label == "Compare").click().run()
    assert not page.exception


def scores(page: AppTest) -> list[list[float]]:
    """What the tokens of each strip say of themselves."""
    found = []
    for element in page.get("html"):
        spans = read_html(element.proto.body).all("span", "t")
        said = [re.search(r"score (\S+)$", span.attributes["aria-label"]) for span in spans]
        found.append([float(m[1].replace("−", "-")) for m in said if m])
    return [values for values in found if values]


def scales(page: AppTest) -> list[str]:
    """The end of the colour scale of each strip."""
    trees = [read_html(element.proto.body) for element in page.get("html")]
    return [tree.all("span", "r")[0].text for tree in trees if tree.all("span", "r")]


def half_of_the_third_digit(said: np.ndarray) -> np.ndarray:
    """How far a number that is written in three digits may lie from what was meant."""
    return 0.5 * 10 ** (np.floor(np.log10(np.maximum(np.abs(said), 1e-9))) - 2)


def test_texts_of_equal_length_share_a_scale_and_have_a_difference(page: AppTest) -> None:
    assert alts(page)[0].startswith("The largest change is “·boy”")
    one, other, change = scores(page)
    rounding = sum(half_of_the_third_digit(np.array(said)) for said in (one, other, change))
    assert (np.abs(np.subtract(other, one) - change) <= rounding + 1e-9).all()
    assert scales(page)[0] == scales(page)[1] != scales(page)[2]
    assert "·girl→·boy" in strips(page)[2]
    second(page, "The king")
    assert len(strips(page)) == 2 and len(page.info) == 1
    second(page, page.text_area(key="text").value)
    assert not any(scores(page)[2]) and len(page.info) == 1


def test_a_new_text_brings_its_own_second_text(page: AppTest) -> None:
    prompt(page, "The king went to the")
    assert page.text_area(key="other_text").value == "The king went to the"


def test_checkpoints_and_models_are_compared_if_they_read_the_same_tokens(page: AppTest) -> None:
    page.radio(key="against").set_value("model").run()
    page.selectbox(key="other_model").set_value("induction").run()
    assert [error.value for error in page.error] == ["These two cannot be compared."]
    page.selectbox(key="model").set_value("stories-suite").run()
    page.radio(key="against").set_value("step").run()
    assert strips(page)[0] == strips(page)[1] == strips(page)[2]
    first = alts(page)
    page.select_slider(key="other_step").set_value(4000).run()
    assert alts(page) != first
    assert not any(scores(page)[2])  # the last step is what stands on the other side


def test_a_translator_writes_the_same_and_reads_another_source(page: AppTest) -> None:
    page.selectbox(key="model").set_value("translate-en-fr").run()
    page.selectbox(key="at").set_value(5).run()
    one, other, _ = strips(page)
    assert "·money" in one and "·time" in other and one[-6:] == other[-6:]


def test_hostile_text_is_literal_on_both_sides(page: AppTest) -> None:
    second(page, HOSTILE)
    for element in page.get("html"):
        tree = read_html(element.proto.body)
        assert not tree.all("img") and not tree.all("script")
