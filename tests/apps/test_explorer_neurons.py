"""Neurons: the strongest of a position, what one writes, and what else it responds to."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import interp
from tests.apps.test_explorer import HOSTILE, alts, go, prompt, strips
from tests.figures.markup import read_html


@pytest.fixture
def page(repository: Path) -> AppTest:
    app = AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=300)
    return go(app.run(), "neurons")


def test_the_strongest_neuron_of_the_position_comes_first(page: AppTest) -> None:
    model = interp.load("stories")
    _, cache = model.run_with_cache(page.text_area(key="text").value)
    page.selectbox(key="layer").set_value(2).run()
    for at in (22, 5):
        page.selectbox(key="at").set_value(at).run()
        acts = cache["blocks.2.mlp.hook_post"][0, at]
        first = int(acts.abs().argmax())
        assert f"strongest is neuron {first}:" in alts(page)[0]
        assert page.selectbox(key="neuron").options[0] == str(first)


def test_another_neuron_has_its_own_words_and_contexts(page: AppTest) -> None:
    before = alts(page)[1], strips(page)
    page.selectbox(key="neuron").set_value(7).run()
    assert alts(page)[1] != before[0] and strips(page) != before[1]
    assert any("58 English sentences" in text.value for text in page.text)
    highest = strips(page)
    page.toggle(key="lowest").set_value(True).run()
    assert strips(page) != highest


def test_other_shapes_show_what_they_have(page: AppTest) -> None:
    page.selectbox(key="model").set_value("induction").run()
    model = interp.load("induction")
    assert not page.exception
    if not any(name.endswith("mlp.hook_post") for name in model.hook_points):
        assert [error.value for error in page.error] == ["There are no neurons to show."]
    page.selectbox(key="model").set_value("translate-en-fr").run()
    assert not page.exception and len(alts(page)) == 2 - len(page.error)
    assert any("English sentences" in text.value for text in page.text)


def test_hostile_text_is_literal(page: AppTest) -> None:
    prompt(page, HOSTILE)
    assert not page.exception and not page.error
    for element in page.get("html"):
        tree = read_html(element.proto.body)
        assert not tree.all("img") and not tree.all("script")
