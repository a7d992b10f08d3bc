"""A page opens offline, runs nothing, and has a table twin."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from interp.figures.labels import visible
from interp.figures.page import facts_html, page_html, paragraph_html, score_table_html
from interp.figures.strip import token_strip_html
from tests.figures.hostile import HOSTILE
from tests.figures.markup import read_html

ANY_TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(HOSTILE)


def hostile_page() -> str:
    scores = [(-1) ** i * i / 10 for i in range(len(HOSTILE))]
    return page_html(
        HOSTILE[2],
        facts_html({token: token for token in HOSTILE}),
        *(paragraph_html(token) for token in HOSTILE),
        token_strip_html(HOSTILE, scores, title=HOSTILE[0], caption=HOSTILE[2]),
        score_table_html(HOSTILE, scores, unit=HOSTILE[1]),
    )


def test_a_page_of_hostile_text_has_no_way_to_run_or_fetch() -> None:
    page = hostile_page()
    page.encode("utf-8")
    tree = read_html(page.removeprefix("<!doctype html>"))
    assert not tree.all("script")
    assert not tree.all("img")
    assert not tree.all("a")
    for element in [e for tag in ("span", "p", "td", "dd", "div") for e in tree.all(tag)]:
        assert not {name for name in element.attributes if name.startswith("on")}
        assert not {"src", "href"} & set(element.attributes)
    styles = "".join(style.text for style in tree.all("style"))
    assert "url(" not in styles
    assert "@import" not in styles


def test_the_policy_forbids_what_the_page_does_not_need() -> None:
    tree = read_html(page_html("A page").removeprefix("<!doctype html>"))
    metas = {meta.attributes.get("http-equiv", ""): meta for meta in tree.all("meta")}
    policy = metas["Content-Security-Policy"].attributes["content"]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy
    assert not re.search(r"https?:", policy)


def test_language_title_and_both_schemes() -> None:
    page = page_html("Why “girl”?", "<p>body</p>", lang="en-GB")
    tree = read_html(page.removeprefix("<!doctype html>"))
    assert tree.all("html")[0].attributes["lang"] == "en-GB"
    assert tree.all("title")[0].text == tree.all("h1")[0].text == "Why “girl”?"
    assert "prefers-color-scheme:dark" in page
    assert tree.all("main")[0].text.endswith("body\n")


@given(st.lists(st.tuples(ANY_TEXT, st.floats(-5, 5)), min_size=1, max_size=6))
def test_the_table_twin_has_each_token_with_its_score(strip: list[tuple[str, float]]) -> None:
    table = read_html(score_table_html([t for t, _ in strip], [s for _, s in strip]))
    rows = [[cell.text for cell in row.all("td")] for row in table.all("tr")[1:]]
    assert [(int(place), token) for place, token, _ in rows] == [
        (place, visible(token)) for place, (token, _) in enumerate(strip)
    ]
    for (_, _, said), (_, score) in zip(rows, strip, strict=True):
        assert float(said.replace("−", "-")) == pytest.approx(score, rel=5.1e-3)


def test_facts_are_shown_in_order() -> None:
    tree = read_html(facts_html({"method": "integrated gradients", "error": -0.00031, "steps": 64}))
    assert [name.text for name in tree.all("dt")] == ["method", "error", "steps"]
    assert [value.text for value in tree.all("dd")] == ["integrated gradients", "−3.10e-04", "64"]


def test_a_table_needs_finite_scores() -> None:
    with pytest.raises(InputError, match="nan at position 0"):
        score_table_html(["a"], [float("nan")])
