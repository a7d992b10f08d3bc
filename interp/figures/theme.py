"""The look of every picture: colours of values, colours of text, the shared chart settings.

Signed values run from blue (negative) over a grey without hue (zero) to orange (positive), which
people with any common colour blindness can tell apart. Amounts that start at zero run from the
background to blue. The hex values are those of `apps/.streamlit/config.toml`, so that a picture
looks the same in the explorer, in a notebook and in an exported page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Scheme = Literal["light", "dark"]

SANS = "'Source Sans', 'Source Sans 3', system-ui, 'Segoe UI', 'Liberation Sans', sans-serif"
MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True)
class Palette:
    """Colours of one scheme, as `#rrggbb`.

    Attributes:
        paper: the background that pictures are drawn on.
        panel: what was not computed, and the face of a bar without a value.
        ink: text.
        muted: text of second rank; still 4.5:1 on `paper`.
        line: rules and borders.
        accent: the mark that is chosen.
        accent_text: text in the hue of `accent`, 4.5:1 on `paper`.
        diverging: an odd number of stops from the most negative value to the most positive one.
        sequential: stops from zero to the largest amount.
    """

    paper: str
    panel: str
    ink: str
    muted: str
    line: str
    accent: str
    accent_text: str
    diverging: tuple[str, ...]
    sequential: tuple[str, ...]

    @property
    def zero(self) -> str:
        """The grey of a signed value of zero."""
        return self.diverging[len(self.diverging) // 2]


PALETTES: dict[Scheme, Palette] = {
    "light": Palette(
        paper="#fcfcfb",
        panel="#f1f1ee",
        ink="#1d2125",
        muted="#5a626b",
        line="#d9d9d4",
        accent="#c86f12",
        accent_text="#9a4c08",
        diverging=(
            *("#134b85", "#2f78b3", "#6aa5d0", "#b3d3e8"),
            "#f0f0f0",
            *("#f6c897", "#e99a4a", "#c86f12", "#8f4405"),
        ),
        sequential=(
            *("#f0f4f8", "#dce8f2", "#c3d9ea", "#a5c7e0", "#83b2d4"),
            *("#609bc6", "#4284b5", "#2b6c9f", "#1b5484", "#103d66"),
        ),
    ),
    "dark": Palette(
        paper="#15181c",
        panel="#20252b",
        ink="#e9ebee",
        muted="#a3acb8",
        line="#363d46",
        accent="#f0a04b",
        accent_text="#f0a04b",
        diverging=(
            *("#9dcdf2", "#6fadde", "#4586ba", "#2b5f8a"),
            "#2a2a2a",
            *("#85531c", "#bd7626", "#ec9d48", "#ffcb91"),
        ),
        sequential=(
            *("#1b2129", "#1c2f42", "#1d3f5c", "#215177", "#2a6593"),
            *("#3b7bad", "#5593c4", "#76acd8", "#9dc6e8", "#c9e1f5"),
        ),
    ),
}


def rgb(color: str) -> tuple[int, int, int]:
    """The three channels of `#rrggbb`, 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def blend(stops: Sequence[str], fraction: float) -> str:
    """The colour at `fraction` (0 to 1, clipped) of evenly spaced stops, linear in RGB.

    This is how Vega interpolates a range with `interpolate: rgb`, so a colour computed here is
    the one that a chart shows.
    """
    place = min(max(fraction, 0.0), 1.0) * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    mix = place - low
    pairs = zip(rgb(stops[low]), rgb(stops[low + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * mix):02x}" for a, b in pairs)


def diverging_color(value: float, limit: float, scheme: Scheme) -> str:
    """The colour of a signed value on a scale from `-limit` to `limit`; values beyond clip."""
    return blend(PALETTES[scheme].diverging, 0.5 + 0.5 * value / limit)


def sequential_color(value: float, limit: float, scheme: Scheme) -> str:
    """The colour of an amount on a scale from zero to `limit`; values beyond clip."""
    return blend(PALETTES[scheme].sequential, value / limit)


def luminance(color: str) -> float:
    """Relative luminance of `#rrggbb`, 0 (black) to 1 (white), as WCAG 2.2 defines it."""
    linear = [
        c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4
        for c in rgb(color)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21, as WCAG 2.2 defines it."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def text_color(background: str) -> str:
    """Black or white, whichever reads better on `background`.

    One of the two has a contrast of at least 4.58:1 on any colour at all; a softer black would
    lose that for middle tones.
    """
    return max(("#000000", "#ffffff"), key=lambda text: contrast(text, background))


def color_range(stops: Sequence[str], low: float, high: float) -> dict[str, Any]:
    """A Vega colour scale that agrees with `blend`: stops from `low` to `high`, clipped outside."""
    step = (high - low) / (len(stops) - 1)
    return {
        "domain": [low + i * step for i in range(len(stops))],
        "range": list(stops),
        "interpolate": "rgb",
        "clamp": True,
    }


def chart_config(scheme: Scheme) -> dict[str, Any]:
    """Settings of every chart, for `chart.configure(**chart_config(scheme))`."""
    colors = PALETTES[scheme]
    return {
        "background": colors.paper,
        "font": SANS,
        "view": {"stroke": None},
        "title": {
            "color": colors.ink,
            "subtitleColor": colors.muted,
            "fontSize": 15,
            "subtitleFontSize": 12,
            "fontWeight": 600,
            "anchor": "start",
            "offset": 12,
        },
        "axis": {
            "labelColor": colors.muted,
            "titleColor": colors.muted,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": 400,
            "domain": False,
            "ticks": False,
            "grid": False,
            "labelPadding": 6,
        },
        "legend": {
            "labelColor": colors.muted,
            "titleColor": colors.muted,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": 400,
            "gradientStrokeColor": colors.line,
            "gradientStrokeWidth": 1,
        },
    }
