"""The page on which a model writes or labels, run as Streamlit runs it, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest


@pytest.fixture
def page(repository: Path) -> AppTest:
    path = str(repository / "apps" / "explorer.py")
    page = AppTest.from_file(path, default_timeout=300).run()
    page.switch_page("views/work.py").run()
    assert not page.exception
    return page


def test_a_written_token_is_explained_where_it_was_written(page: AppTest) -> None:
    page.slider(key="length").set_value(6).run()
    (written,) = [code.value for code in page.code]
    page.number_input(key="seed").set_value(1).run()
    assert [code.value for code in page.code] != [written]
    page.number_input(key="seed").set_value(0).run()
    assert [code.value for code in page.code] == [written]  # the draws are those of the seed
    before = page.selectbox(key="at").value
    page.selectbox(key="written").set_value(5).run()
    page.slider(key="length").set_value(4).run()
    assert page.selectbox(key="written").value == 0  # the sixth is there no more
    (written,) = [code.value for code in page.code]
    page.selectbox(key="written").set_value(2).run()
    page.button(key="send_token").click().run()
    assert not page.exception
    assert page.selectbox(key="at").value == before + 2
    assert page.text_area(key="text").value.endswith(written.rstrip())


def test_a_whole_answer_is_a_table_of_scores(page: AppTest) -> None:
    page.slider(key="length").set_value(3).run()
    page.button(key="explain_answer").click().run()
    assert not page.exception
    (table,) = [element.proto.body for element in page.get("html")]
    assert table.count('<th scope="row">') == 3


def test_a_translator_writes_with_beams(page: AppTest) -> None:
    page.selectbox(key="model").set_value("translate-en-fr").run()
    page.slider(key="beams").set_value(4).run()
    assert not page.exception
    assert any("argent" in code.value for code in page.code)


def test_a_classifier_labels_lines_and_sends_one(page: AppTest) -> None:
    page.selectbox(key="model").set_value("reviews").run()
    page.text_area(key="lines_text").set_value("a warm, funny film .\n\ndull and far too long .")
    next(button for button in page.button if button.label == "Label them").click().run()
    assert not page.exception
    assert len(page.dataframe[0].value) == 2
    page.selectbox(key="line").set_value(1).run()
    page.button(key="send_line").click().run()
    assert not page.exception
    assert page.text_area(key="text").value == "dull and far too long ."
