"""The first page, run as Streamlit runs it, without a browser (clicks on charts need one)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from interp.figures.labels import visible
from tests.figures.markup import read_html

HOSTILE = "<img src=x onerror=alert(1)> ![](http://x) </script> **bold** [a](http://b) \u202eabc"


@pytest.fixture
def page(repository: Path) -> AppTest:
    return AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=60).run()


def charts(page: AppTest) -> dict[str, Any]:
    """The charts of the page by what they show."""
    found = page.get("vega_lite_chart")
    assert not page.exception
    return dict(zip(("predictions", "lens", "heads", "head"), found, strict=True))


def strip(page: AppTest) -> list[str]:
    """The tokens of the attribution strip."""
    return [span.text for span in read_html(page.get("html")[0].proto.body).all("span", "t")]


def prompt(page: AppTest, text: str) -> AppTest:
    page.text_area(key="text").set_value(text)
    return page.button[0].click().run()


def test_it_opens_on_a_real_model_with_four_charts_and_a_strip(page: AppTest) -> None:
    alts = {name: chart.proto.alt for name, chart in charts(page).items()}
    assert alts["predictions"].startswith("The most probable next token is")
    assert alts["lens"].startswith("Logit lens of")
    assert alts["heads"].startswith("Attention of 24 heads in 4 layers")
    assert alts["head"].startswith("Layer 0, head 0")
    assert "".join(strip(page)).endswith("One·day·the")
    said = [text.value for text in page.text]
    assert all(alt in said for alt in alts.values())


def test_the_strip_states_its_completeness_error(page: AppTest) -> None:
    assert "Completeness error: " in read_html(page.get("html")[0].proto.body).text


def test_a_new_text_starts_at_its_end(page: AppTest) -> None:
    page.selectbox(key="at").set_value(3).run()
    page.selectbox(key="token").set_value(2).run()
    prompt(page, "The king went to the")
    assert page.selectbox(key="at").value == len(strip(page)) - 1
    assert page.selectbox(key="token").value == 0
    assert strip(page)[1:] == ["The", "·king", "·went", "·to", "·the"]
    assert charts(page)["lens"].proto.alt.startswith("Logit lens of 6 tokens")


def test_a_position_moves_the_page(page: AppTest) -> None:
    whole = strip(page)
    before = charts(page)["predictions"].proto.alt
    page.selectbox(key="at").set_value(4).run()
    assert strip(page) == whole[:5]
    assert charts(page)["predictions"].proto.alt != before


def test_another_prediction_gets_its_own_explanation(page: AppTest) -> None:
    before = page.get("html")[0].proto.body
    page.selectbox(key="token").set_value(2).run()
    after = page.get("html")[0].proto.body
    assert strip(page) == [span.text for span in read_html(before).all("span", "t")]
    assert after != before


def test_layer_and_head_choose_the_large_head(page: AppTest) -> None:
    page.selectbox(key="layer").set_value(3).run()
    page.selectbox(key="head").set_value(1).run()
    assert charts(page)["head"].proto.alt.startswith("Layer 3, head 1")


def test_hiding_the_first_token_changes_the_pictures_and_no_statement(page: AppTest) -> None:
    before = charts(page)
    page.toggle(key="hide_first").set_value(True).run()
    after = charts(page)
    for name in ("heads", "head"):
        assert after[name].proto.alt == before[name].proto.alt
        assert after[name].proto.spec != before[name].proto.spec
    assert "and the first token" in after["head"].proto.spec


def test_hostile_text_is_never_markdown(page: AppTest) -> None:
    before = [element.value for element in [*page.markdown, *page.caption, *page.subheader]]
    prompt(page, HOSTILE)
    after = [element.value for element in [*page.markdown, *page.caption, *page.subheader]]
    assert len(charts(page)) == 4
    # Only the number of tokens may differ; no word of the prompt reaches a Markdown element.
    assert [value for value in after if "tokens of at most" not in value] == [
        value for value in before if "tokens of at most" not in value
    ]
    assert not page.error
    body = page.get("html")[0].proto.body
    tree = read_html(body)
    assert not tree.all("img")
    assert not tree.all("script")
    assert visible(HOSTILE[:4].strip("<")) in "".join(strip(page))


def test_a_text_beyond_the_context_is_refused_in_plain_words(page: AppTest) -> None:
    prompt(page, "![](http://x) " * 140)
    assert not page.exception
    assert [error.value for error in page.error] == ["This text cannot be read."]
    assert any("256 at most" in text.value for text in page.text)
    prompt(page, "The cat")
    assert len(charts(page)) == 4


def test_an_empty_text_shows_how_a_text_begins(page: AppTest) -> None:
    prompt(page, "")
    assert len(charts(page)) == 4
    assert len(strip(page)) == 1


def test_a_link_restores_what_was_chosen(repository: Path) -> None:
    page = AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=60)
    page.query_params["text"] = "The king went to the"
    page.query_params["at"] = "2 ·king"
    page.query_params["head"] = "4"
    page.run()
    assert page.selectbox(key="at").value == 2
    assert page.selectbox(key="head").value == 4
    assert strip(page)[1:] == ["The", "·king"]


def test_a_link_of_nonsense_shows_the_defaults(repository: Path) -> None:
    page = AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=60)
    for name, value in {
        "at": "99",
        "token": "<b>",
        "layer": "-1",
        "head": "x",
        "other": "y",
    }.items():
        page.query_params[name] = value
    page.run()
    assert len(charts(page)) == 4
    assert page.selectbox(key="layer").value == page.selectbox(key="head").value == 0
    assert page.selectbox(key="at").value == len(strip(page)) - 1


def test_a_table_twin_opens_with_visible_tokens(page: AppTest) -> None:
    assert not page.dataframe
    page.session_state["predictions_table"] = True
    page.run()
    (table,) = page.dataframe
    assert len(table.value) == 10
    assert list(table.value["probability"]) == sorted(table.value["probability"], reverse=True)
    assert all(visible(token) == token for token in table.value["token"])
