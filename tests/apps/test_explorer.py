"""The pages, run as Streamlit runs them, without a browser (clicks on charts need one)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps.language import translations
from interp.figures.labels import visible
from tests.figures.markup import read_html

HOSTILE = (
    "<img onerror=a()> ![](http://x) </script> **b** [a](b) "
    "\u202ea\u200b\x00\x1b[31m 👩\u200d👧 $x$ `c`"
)
TABLES = ("PAGES", "_KINDS")  # of names and texts that pages say
PAGES = (
    *("start", "lens", "attribution", "attention", "intervene"),
    *("flow", "compare", "neurons", "training", "work", "data", "audit"),
)


@pytest.fixture
def explorer(repository: Path) -> AppTest:
    return AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=300)


@pytest.fixture
def page(explorer: AppTest) -> AppTest:
    return explorer.run()


def go(page: AppTest, name: str) -> AppTest:
    page.switch_page(f"views/{name}.py").run()
    assert not page.exception
    return page


def alts(page: AppTest) -> list[str]:
    """What the charts of the page state."""
    assert not page.exception
    return [chart.proto.alt for chart in page.get("vega_lite_chart")]


def strips(page: AppTest) -> list[list[str]]:
    """The tokens of each attribution strip."""
    trees = [read_html(element.proto.body) for element in page.get("html")]
    found = [[span.text for span in tree.all("span", "t")] for tree in trees]
    return [tokens for tokens in found if tokens]


def prompt(page: AppTest, text: str) -> AppTest:
    page.text_area(key="text").set_value(text)
    read = next(button for button in page.button if button.label == "Read it")
    return read.click().run()


# -- the start -----------------------------------------------------------------------------------


def test_it_opens_on_a_real_model_with_its_prediction_and_the_reasons(page: AppTest) -> None:
    (prediction,) = alts(page)
    assert prediction.startswith("The most probable next token is")
    assert "".join(strips(page)[0]).endswith("One·day·the")
    assert prediction in [text.value for text in page.text]
    assert "Completeness error: " in read_html(page.get("html")[0].proto.body).text


def test_a_new_text_starts_at_its_end(page: AppTest) -> None:
    page.selectbox(key="at").set_value(3).run()
    page.selectbox(key="token").set_value(2).run()
    prompt(page, "The king went to the")
    assert page.selectbox(key="at").value == len(strips(page)[0]) - 1
    assert page.selectbox(key="token").value == 0
    assert strips(page)[0][1:] == ["The", "·king", "·went", "·to", "·the"]


def test_a_position_moves_the_page(page: AppTest) -> None:
    whole, before = strips(page)[0], alts(page)
    page.selectbox(key="at").set_value(4).run()
    assert strips(page)[0] == whole[:5]
    assert alts(page) != before


def test_another_prediction_or_a_foil_gets_its_own_explanation(page: AppTest) -> None:
    bodies = [page.get("html")[0].proto.body]
    page.selectbox(key="token").set_value(2).run()
    bodies.append(page.get("html")[0].proto.body)
    page.selectbox(key="foil").set_value(0).run()
    bodies.append(page.get("html")[0].proto.body)
    assert len(set(bodies)) == 3 and "and not" in read_html(bodies[2]).text


def test_a_repeated_question_is_answered_from_before(page: AppTest) -> None:
    page.selectbox(key="token").set_value(1).run()
    page.selectbox(key="token").set_value(0).run()
    assert "computed before" in read_html(page.get("html")[0].proto.body).text


def test_an_example_is_read(page: AppTest) -> None:
    before = page.text_area(key="text").value
    page.button(key="example_1").click().run()
    assert page.text_area(key="text").value != before
    assert page.selectbox(key="at").value == len(strips(page)[0]) - 1


# -- other models --------------------------------------------------------------------------------


def test_a_translator_is_explained_on_both_sides(page: AppTest) -> None:
    page.selectbox(key="model").set_value("translate-en-fr").run()
    assert not page.exception
    (written,) = [code.value for code in page.code]
    assert "argent" in written
    page.selectbox(key="at").set_value(3).run()
    tokens = strips(page)[0]
    assert "·money" in tokens  # of the source
    assert len(tokens) == len([t for t in tokens if t]) > 7
    go(page, "attention")
    assert page.selectbox(key="kind").options == ["decoder to source", "decoder", "encoder"]
    for kind in ("decoder", "encoder"):
        page.selectbox(key="kind").set_value(kind).run()
        assert len(alts(page)) == 2


def test_a_model_without_a_tokenizer_reads_numbers(page: AppTest) -> None:
    page.selectbox(key="model").set_value("induction").run()
    assert "“12”" in alts(page)[0]
    prompt(page, "once upon")
    assert [error.value for error in page.error] == ["This text cannot be read."]
    assert any("write numbers" in text.value for text in page.text)
    prompt(page, "11 5 60 9 33 2 11 5 60 9")
    assert "“33”" in alts(page)[0]


def test_the_step_of_a_suite_moves_every_page(page: AppTest) -> None:
    page.selectbox(key="model").set_value("stories-suite").run()
    last = alts(page)
    page.select_slider(key="step").set_value(0).run()
    assert alts(page) != last
    go(page, "lens")
    first = alts(page)
    page.select_slider(key="step").set_value(4000).run()
    assert alts(page) != first


# -- the other pages -----------------------------------------------------------------------------


def test_the_lens_has_every_layer_and_position(page: AppTest) -> None:
    prompt(page, "The king went to the")
    assert alts(go(page, "lens"))[0].startswith("Logit lens of 6 tokens at 5 layers")


def test_methods_stand_side_by_side_with_their_checks(page: AppTest) -> None:
    prompt(page, "The king went to the")
    go(page, "attribution")
    assert len(strips(page)) == 3
    assert {tuple(tokens[1:]) for tokens in strips(page)} == {
        ("The", "·king", "·went", "·to", "·the")
    }
    tables = [read_html(element.proto.body).text for element in page.get("html")]
    assert any("ABPC" in table and "random" in table for table in tables)
    assert sum("rank correlation" in text.value for text in page.text) == 3
    page.pills(key="methods").set_value(["value_zeroing"]).run()
    assert len(strips(page)) == 1


def test_layer_and_head_choose_the_large_head(page: AppTest) -> None:
    go(page, "attention")
    page.selectbox(key="layer").set_value(3).run()
    page.selectbox(key="head").set_value(1).run()
    assert alts(page)[1].startswith("Layer 3, head 1")


def test_hiding_the_first_token_changes_the_pictures_and_no_statement(page: AppTest) -> None:
    go(page, "attention")
    before = page.get("vega_lite_chart")
    page.toggle(key="hide_first").set_value(True).run()
    after = page.get("vega_lite_chart")
    for old, new in zip(before, after, strict=True):
        assert old.proto.alt == new.proto.alt and old.proto.spec != new.proto.spec


def test_a_changed_word_is_traced_through_the_layers(page: AppTest) -> None:
    prompt(page, "The mother said that")
    go(page, "intervene")
    page.selectbox(key="replace").set_value(2).run()
    page.text_input(key="by").set_value(" father").run()
    assert "layer" in alts(page)[0] and "% of the difference" in alts(page)[0]
    page.selectbox(key="put").set_value("z").run()
    assert "at head" in alts(page)[0]
    page.text_input(key="by").set_value("no single token at all").run()
    assert [error.value for error in page.error] == ["This change cannot be traced."]


# -- text of others, and links -------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_hostile_text_is_never_markdown(page: AppTest, name: str) -> None:
    go(page, name)
    before = [element.value for element in [*page.markdown, *page.caption, *page.subheader]]
    prompt(page, HOSTILE)
    after = [element.value for element in [*page.markdown, *page.caption, *page.subheader]]
    assert not page.exception and not page.error
    assert {*after} - {"Computed now."} <= {*before, "Computed before."}
    for element in page.get("html"):
        tree = read_html(element.proto.body)
        assert not tree.all("img") and not tree.all("script")
    if name in ("start", "attribution"):  # the strips of other pages may be of other texts
        assert strips(page)
        for tokens in strips(page):
            assert visible(HOSTILE[:4].strip("<")) in "".join(tokens)


def test_a_text_beyond_the_context_is_refused_in_plain_words(page: AppTest) -> None:
    prompt(page, "![](http://x) " * 7_000)
    assert not page.exception
    assert [error.value for error in page.error] == ["This text cannot be read."]
    assert any("256 at most" in text.value for text in page.text)
    prompt(page, "The cat")
    assert len(alts(page)) == 1


def test_an_empty_text_shows_how_a_text_begins(page: AppTest) -> None:
    prompt(page, "")
    assert len(alts(page)) == 1
    assert len(strips(page)[0]) == 1


def test_a_link_restores_what_was_chosen(explorer: AppTest) -> None:
    explorer.query_params["text"] = "The king went to the"
    explorer.query_params["at"] = "2 ·king"
    explorer.query_params["head"] = "4"
    explorer.query_params["method"] = "leave one out"
    explorer.run()
    assert explorer.selectbox(key="at").value == 2
    assert explorer.selectbox(key="head").value == 4
    assert explorer.selectbox(key="method").value == "leave_one_out"
    assert strips(explorer)[0][1:] == ["The", "·king"]


def test_a_link_of_nonsense_shows_the_defaults(explorer: AppTest) -> None:
    for name, value in {
        "model": "/etc/passwd",
        "at": "99",
        "token": "<b>",
        "foil": "77",
        "layer": "-1",
        "head": "x",
        "method": "![](http://x)",
        "other": "y",
    }.items():
        explorer.query_params[name] = value
    explorer.run()
    assert len(alts(explorer)) == 1
    assert explorer.selectbox(key="model").value == "stories"


# -- language ------------------------------------------------------------------------------------


def test_the_words_of_the_pages_are_there_in_chinese(page: AppTest) -> None:
    page.radio(key="language").set_value("中文").run()
    assert not page.exception
    assert page.selectbox(key="model").label == "模型"


def test_every_text_of_the_pages_has_a_translation(repository: Path) -> None:
    """Read from the source: whatever is given to `say` as a literal, and the tables of texts."""
    said: set[str] = set()
    for path in (repository / "apps").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say"
            if called and isinstance(node.args[0], ast.Constant):
                said.add(node.args[0].value)
            named = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in TABLES
            if named:
                said.update(ast.literal_eval(node.value).values())
    known = translations()
    assert not said - known.keys()
    assert not known.keys() - said  # none is left over
