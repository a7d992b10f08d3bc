"""Colours that can be read, a scale whose zero has no hue, and one look everywhere."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.figures.theme import (
    PALETTES,
    Scheme,
    blend,
    color_range,
    contrast,
    diverging_color,
    luminance,
    rgb,
    sequential_color,
    text_color,
)

SCHEMES = st.sampled_from(sorted(PALETTES))
COLORS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")
EACH_SCHEME = pytest.mark.parametrize("scheme", sorted(PALETTES))


@given(COLORS)
def test_text_reads_on_any_colour(color: str) -> None:
    assert contrast(text_color(color), color) >= 4.5


@EACH_SCHEME
def test_text_reads_on_paper(scheme: Scheme) -> None:
    colors = PALETTES[scheme]
    for ground in (colors.paper, colors.panel):
        assert contrast(colors.ink, ground) >= 7
        assert contrast(colors.muted, ground) >= 4.5
        assert contrast(colors.accent_text, ground) >= 4.5


def test_contrast_of_black_and_white_is_what_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert luminance("#ffffff") == pytest.approx(1)
    # The grey that is named in the standard's explanations as the lightest with 4.5:1 on white.
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@EACH_SCHEME
def test_zero_is_grey_and_signs_have_their_hue(scheme: Scheme) -> None:
    red, green, blue = rgb(diverging_color(0.0, 1.0, scheme))
    assert red == green == blue
    for size in (0.1, 0.5, 1.0):
        red, _, blue = rgb(diverging_color(-size, 1.0, scheme))
        assert blue > red
        red, _, blue = rgb(diverging_color(size, 1.0, scheme))
        assert red > blue


@EACH_SCHEME
def test_larger_values_stand_out_more_from_the_paper(scheme: Scheme) -> None:
    paper = PALETTES[scheme].paper
    steps = [i / 20 for i in range(21)]
    for scale in (
        [diverging_color(-step, 1.0, scheme) for step in steps],
        [diverging_color(step, 1.0, scheme) for step in steps],
        [sequential_color(step, 1.0, scheme) for step in steps],
    ):
        stands = [contrast(color, paper) for color in scale]
        assert stands == sorted(stands)
        assert stands[-1] > 4.5


@given(st.floats(-10, 10), st.floats(0.01, 10), SCHEMES)
def test_values_beyond_the_limit_clip(value: float, limit: float, scheme: Scheme) -> None:
    inside = min(max(value, -limit), limit)
    assert diverging_color(value, limit, scheme) == diverging_color(inside, limit, scheme)


@EACH_SCHEME
def test_blend_passes_through_its_stops(scheme: Scheme) -> None:
    stops = PALETTES[scheme].sequential
    places = color_range(stops, 0.0, 1.0)["domain"]
    assert [blend(stops, place) for place in places] == list(stops)
    assert len(PALETTES[scheme].diverging) % 2 == 1


@EACH_SCHEME
def test_the_explorer_has_the_same_colours(scheme: Scheme, repository: Path) -> None:
    settings = tomllib.loads((repository / "apps" / ".streamlit" / "config.toml").read_text())
    theme, colors = settings["theme"][scheme], PALETTES[scheme]
    assert theme["backgroundColor"] == colors.paper
    assert theme["textColor"] == colors.ink
    assert theme["chartSequentialColors"] == list(colors.sequential)
    half = len(colors.diverging) // 2
    # There the scale has an even number of steps, with the middle one twice.
    assert theme["chartDivergingColors"] == [
        *colors.diverging[: half + 1],
        *colors.diverging[half:],
    ]
