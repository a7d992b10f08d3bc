"""Reads charts as Vega-Lite would, for tests of what they draw."""

from __future__ import annotations

import json
import re
from typing import Any

import altair as alt
import pytest


def spec_of(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The specification, validated by Altair against the schema of Vega-Lite."""
    return chart.to_dict()


def rows_of(chart: alt.TopLevelMixin, layer: int = 0) -> list[dict[str, Any]]:
    """The data of a layer of a chart."""
    spec = spec_of(chart)
    name = spec["layer"][layer].get("data", spec.get("data"))["name"]
    return spec["datasets"][name]


def labels_of(encoding: dict[str, Any]) -> list[str]:
    """What a `labelExpr` made by `lookup` shows for the values 0, 1, ..."""
    return json.loads(encoding["axis"]["labelExpr"].removesuffix("[datum.value]"))


def drawn(chart: alt.TopLevelMixin) -> str:
    """The SVG that Vega draws, which fails where the specification does not compile."""
    convert = pytest.importorskip("vl_convert", reason="vl-convert compiles and draws the chart")
    return str(convert.vegalite_to_svg(json.dumps(spec_of(chart)), allowed_base_urls=[]))


def texts_of(svg: str) -> list[str]:
    """The texts of an SVG, with its entities resolved."""
    found = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&")]
    for entity, char in plain:
        found = [text.replace(entity, char) for text in found]
    return found
