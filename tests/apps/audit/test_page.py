"""The page of an audit: in order, linked within itself, and harmless whatever texts it shows."""

from __future__ import annotations

import itertools
import re
from urllib.parse import urlparse

import altair as alt
import pandas as pd

from apps.audit.page import _BELONGS, page_of
from apps.audit.parts import PARTS
from apps.audit.report import Report
from apps.audit.section import Finding, Section
from interp.figures.figure import Figure, themed
from interp.figures.labels import literal
from interp.figures.still import figure_html
from interp.figures.theme import Scheme
from tests.apps.audit.made import report, several
from tests.figures.hostile import HOSTILE, STORABLE
from tests.figures.markup import Element, read_html


def tree_of(made: Report) -> Element:
    return read_html(page_of(made).removeprefix("<!doctype html>"))


def every(element: Element) -> list[Element]:
    return [e for child in element.children for e in (child, *every(child))]


def faults(tree: Element) -> list[str]:
    """What a reader who hears the page, or has no network, would stumble over."""
    elements = every(tree)
    found = []
    ids = [e.attributes["id"] for e in elements if "id" in e.attributes]
    found += [f"the id {name} stands twice" for name in set(ids) if ids.count(name) > 1]
    for element in elements:
        attributes = element.attributes
        for name in ("href", "src", "srcset"):
            address = attributes.get(name, "")
            if address.startswith("#"):
                if address[1:] not in ids:
                    found.append(f"nothing has the anchor {address}")
            elif name in attributes and urlparse(address).scheme != "data":
                found.append(f"{element.tag} asks for {address!r}")
        found += [f"{element.tag} has {name}" for name in attributes if name.startswith("on")]
        if element.tag in ("script", "iframe", "object", "embed", "form", "link"):
            found.append(f"there is a {element.tag}")
        if element.tag == "img" and not attributes.get("alt", "").strip():
            found.append("a picture says nothing to those who do not see it")
        if element.tag == "th" and attributes.get("scope") not in ("col", "row"):
            found.append(f"the header {element.text!r} heads neither a column nor a row")
        if element.tag == "a" and not element.text.strip():
            found.append("a link has no name")
        if element.tag == "table" and not element.all("th"):
            found.append("a table has no headers")
        label = attributes.get("aria-labelledby")
        if label is not None and label not in ids:
            found.append(f"nothing is called {label}")
    levels = [int(e.tag[1]) for e in elements if re.fullmatch("h[1-6]", e.tag)]
    if levels[:1] != [1] or levels.count(1) != 1:
        found.append("the page has not one first heading")
    found += [
        f"a heading of level {b} follows one of {a}"
        for a, b in itertools.pairwise(levels)
        if b > a + 1
    ]
    for tag in ("main", "nav", "title"):
        if len(tree.all(tag)) != 1:
            found.append(f"there are {len(tree.all(tag))} of {tag}")
    styles = "".join(style.text for style in tree.all("style"))
    found += [f"a style has {word}" for word in ("url(", "@import") if word in styles]
    return found


def picture() -> str:
    frame = pd.DataFrame({"x": [1, 2], "y": [1.0, 3.0]})

    def draw(scheme: Scheme) -> Figure:
        chart = alt.layer(alt.Chart(frame).mark_line().encode(x="x", y="y"))
        return Figure(themed(chart, scheme), "It rises.", frame)

    return figure_html(draw)


def test_a_page_has_no_faults() -> None:
    made = several()
    assert faults(tree_of(made)) == []
    drawn = Section("probes", "Probes", pictures={"course": picture()})
    assert faults(tree_of(report(*made.sections, drawn))) == []


def test_the_check_notices() -> None:
    page = (
        '<h2 id="a">x</h2><h4 id="a">y</h4><a href="#none"></a><a href="http://x">z</a>'
        '<img src="data:," alt=""><table><tr><td>1</td></tr></table><script></script>'
        '<th>head</th><section aria-labelledby="none"></section><p onclick="x">t</p>'
        "<style>a{background:url(x)}</style>"
    )
    assert len(faults(read_html(page))) == 16


def test_hostile_texts_stand_on_the_page_as_they_are() -> None:
    words = pd.DataFrame({"token": STORABLE, "score": range(len(STORABLE))})
    hostile = Section(
        "cases",
        HOSTILE[2],
        text=tuple(HOSTILE),
        findings=tuple(
            Finding(f"cases.n{i}", "risk", token or "-", (f"table_{i}",))
            for i, token in enumerate(HOSTILE)
        ),
        facts={token: token for token in HOSTILE},
        tables={f"table_{i}": words for i in range(len(HOSTILE))},
        open=tuple(HOSTILE),
    )
    tree = tree_of(report(hostile, name=HOSTILE[0]))
    assert faults(tree) == []
    assert tree.all("h1")[0].text == f"Audit of {literal(HOSTILE[0])}"
    cells = {cell.text for kind in ("words", "short") for cell in tree.all("td", kind)}
    assert cells == {literal(token) for token in STORABLE}
    for control in ("\x1b", "\u202e", "\u2028", "\u200b"):
        assert control not in tree.text


def test_verdicts_come_first_and_the_weightiest_of_a_level_before_the_others() -> None:
    tree = tree_of(several())
    titles = [heading.text for heading in tree.all("h2")]
    assert titles[0] == "Verdicts"
    assert titles[-2:] == ["Where this evidence belongs", "Sign-off"]
    front = tree.all("section")[0]
    told = [item.text.lstrip("▲●✓? ") for item in front.all("li")]
    order = ["A large", "A small", "Pairs of", "Less so", "It is right", "Could not be"]
    assert [next(i for i, t in enumerate(told) if t.startswith(o)) for o in order] == [*range(6)]


def test_long_tables_are_folded_and_very_long_ones_cut() -> None:
    tree = tree_of(several())
    folded, left = tree.all("details")
    assert left.all("summary")[0].text == "What this part leaves open (1)"
    assert "first 200 of 300 rows" in folded.all("summary")[0].text
    assert len(folded.all("tr")) == 201
    short = tree.all("div", "wide")[0]
    rows = [[cell.text for cell in row.all("td")] for row in short.all("tr")[1:]]
    assert rows == [["a", "0.500", "yes", "yes"], ["b", "–", "no", "–"]]


def test_what_was_not_asked_is_said() -> None:
    tree = tree_of(several())
    assert "This is not the whole audit." in tree.text
    whole = report(*(Section(name, name) for name in PARTS))
    assert "This is not the whole audit." not in tree_of(whole).text


def test_each_part_but_what_looks_back_is_evidence_somewhere() -> None:
    named = {part for headings in _BELONGS.values() for _, parts in headings for part in parts}
    assert named == set(PARTS)
