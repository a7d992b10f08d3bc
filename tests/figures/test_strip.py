"""Strips show every token literally, with its score, in colour and without."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from interp.figures.labels import columns, visible
from interp.figures.strip import strip_ansi, strip_finding, token_strip_html
from interp.figures.theme import contrast, diverging_color
from tests.figures.hostile import HOSTILE
from tests.figures.markup import read_html

TOKENS = st.text(st.characters(), max_size=12) | st.sampled_from(HOSTILE)
SCORES = st.floats(-100, 100, allow_nan=False)
STRIPS = st.lists(st.tuples(TOKENS, SCORES), min_size=1, max_size=12)
SGR = re.compile(r"\x1b\[[0-9;]*m")


def unzip(strip: list[tuple[str, float]]) -> tuple[list[str], list[float]]:
    return [token for token, _ in strip], [score for _, score in strip]


def tokens_of(html: str) -> list[str]:
    return [span.text for span in read_html(html).all("span", "t")]


@given(STRIPS, TOKENS)
def test_html_holds_the_tokens_and_nothing_of_their_making(
    strip: list[tuple[str, float]], title: str
) -> None:
    tokens, scores = unzip(strip)
    tree = read_html(token_strip_html(tokens, scores, title=title, caption=title, unit=title))
    assert [span.text for span in tree.all("span", "t")] == [visible(token) for token in tokens]
    allowed = {"figure", "figcaption", "p", "span", "br", "div", "i", "b", "style"}
    safe = {"class", "role", "tabindex", "title", "aria-label", "aria-hidden", "style", "dir"}
    pending = [*tree.children]
    while pending:
        element = pending.pop()
        assert element.tag in allowed
        assert set(element.attributes) <= safe
        pending += element.children
    assert len(tree.all("style")) == 1


@given(STRIPS)
def test_each_token_says_its_score_and_sign_without_colour(
    strip: list[tuple[str, float]],
) -> None:
    tokens, scores = unzip(strip)
    spans = read_html(token_strip_html(tokens, scores)).all("span", "t")
    for place, (span, score) in enumerate(zip(spans, scores, strict=True)):
        assert ("n" in span.attributes["class"].split()) == (score < 0)
        label = span.attributes["aria-label"]
        assert label.startswith(f"token {place} of {len(tokens)}: ")
        said = float(label.rsplit("score ", 1)[1].replace("−", "-"))
        assert said == pytest.approx(score, rel=5.1e-3)
        assert label.rsplit("score ", 1)[1] in span.attributes["title"]


@given(STRIPS)
def test_text_reads_on_its_colour_in_both_schemes(strip: list[tuple[str, float]]) -> None:
    for span in read_html(token_strip_html(*unzip(strip))).all("span", "t"):
        pairs = re.findall(r"light-dark\((#\w{6}),(#\w{6})\)", span.attributes["style"])
        (light_face, dark_face), (light_ink, dark_ink) = pairs
        assert contrast(light_face, light_ink) >= 4.5
        assert contrast(dark_face, dark_ink) >= 4.5


def test_colour_is_the_score_on_a_symmetric_scale() -> None:
    spans = read_html(token_strip_html(["a", "b", "c"], [0.5, -1.0, 0.0])).all("span", "t")
    for span, value in zip(spans, [0.5, -1.0, 0.0], strict=True):
        assert diverging_color(value, 1.0, "light") in span.attributes["style"]
        assert diverging_color(value, 1.0, "dark") in span.attributes["style"]


def test_the_legend_shows_zero_and_what_is_clipped() -> None:
    legend = read_html(token_strip_html(["a", "b", "c"], [3.0, -0.5, 0.1], limit=1)).all("div")[0]
    assert [mark.text for mark in legend.all("b")] == ["−1.00", "0", "+1.00"]
    assert "1 token beyond ±1.00" in legend.text
    legend = read_html(token_strip_html(["a"], [0.5])).all("div")[0]
    assert "beyond" not in legend.text


def test_scores_of_zero_are_fine() -> None:
    html = token_strip_html(["a", "b"], [0.0, 0.0])
    assert "every score is zero" in html
    assert strip_finding(["a", "b"], [0.0, 0.0]) == "All 2 scores are zero."
    assert strip_finding(["a"], [0.0]) == "The only score is zero."


def test_the_finding_names_the_extremes() -> None:
    finding = strip_finding(["a", " b", "c"], [0.1, 2.0, -0.5])
    assert finding == (
        "Of 3 tokens, the largest positive score is +2.00 at token 1 “·b” and the most negative "
        "score is −0.500 at token 2 “c”."
    )
    assert "negative" not in strip_finding(["a"], [1.0])
    assert "positive" not in strip_finding(["a"], [-1.0])


def test_a_line_of_text_is_a_line_of_the_strip() -> None:
    assert len(read_html(token_strip_html(["a", ".\n", "b", "\n"], [1, 2, 3, 4])).all("br")) == 2
    assert strip_ansi(["a", ".\n", "b"], [1, 2, 3], 80, False).splitlines()[:2] == [
        "a[+1.00] .⏎[+2.00]",
        "b[+3.00]",
    ]


def test_a_forced_scheme_is_a_scheme_of_the_figure() -> None:
    figure = read_html(token_strip_html(["a"], [1.0], scheme="dark")).all("figure")[0]
    assert figure.attributes["style"] == "color-scheme:dark"


@given(STRIPS, st.integers(16, 120), st.booleans())
def test_terminal_lines_fit_and_carry_only_our_own_codes(
    strip: list[tuple[str, float]], width: int, color: bool
) -> None:
    text = strip_ansi(*unzip(strip), width, color)
    assert color or not SGR.search(text)
    bare = SGR.sub("", text)
    assert all(char.isprintable() or char == "\n" for char in bare)
    body = bare.split("\n\n")[0]
    assert max(columns(line) for line in body.splitlines()) <= width


@given(STRIPS)
def test_the_terminal_holds_the_tokens_in_order(strip: list[tuple[str, float]]) -> None:
    tokens, scores = unzip(strip)
    width = 2 * max(columns(visible(token)) for token in tokens) + 16
    bare = SGR.sub("", strip_ansi(tokens, scores, width, True)).split("\n\n")[0]
    assert bare.replace("\n", "") == "".join(visible(token) for token in tokens)


def test_negative_tokens_are_underlined_in_the_terminal() -> None:
    body = strip_ansi(["up", "down", "none"], [1.0, -1.0, 0.0], 80, True).split("\n\n")[0]
    assert re.search(r"\x1b\[48;2;[\d;]+mup\x1b\[0m", body)
    assert re.search(r"\x1b\[4;48;2;[\d;]+mdown\x1b\[0m", body)
    assert body.endswith("\x1b[0mnone")


def test_a_long_text_is_drawn_whole() -> None:
    tokens = [f" word{i}" for i in range(500)]
    scores = np.sin(np.arange(500))
    assert tokens_of(token_strip_html(tokens, scores)) == [visible(token) for token in tokens]


@pytest.mark.parametrize("draw", [token_strip_html, strip_ansi, strip_finding])
@pytest.mark.parametrize(
    ("tokens", "scores", "says"),
    [
        (["a", "b"], [0.1, float("nan")], r"nan at position 1"),
        (["a"], [float("inf")], r"inf at position 0"),
        (["a", "b"], [0.1], r"2 tokens and 1 scores"),
        ([], [], r"no tokens"),
        ("ab", [0.1, 0.2], r"one string"),
        ([7], [0.1], r"Token 0 is 7"),
        (["a"], [[0.1]], r"shape \[1, 1\]"),
        (["a"], ["x"], r"not numbers"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: object, tokens: object, scores: object, says: str):
    with pytest.raises(InputError, match=says):
        draw(tokens, scores)  # type: ignore[operator]


def test_a_scale_needs_a_positive_end_and_a_line_some_columns() -> None:
    for limit in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="limit"):
            token_strip_html(["a"], [1.0], limit=limit)
    with pytest.raises(InputError, match="15 columns"):
        strip_ansi(["a"], [1.0], 15)
