"""What travels from the tokens to a prediction, as a layered graph."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import columns, count, number, quoted, shorten, visible
from interp.figures.theme import MONO, PALETTES, Scheme

_MOST = 500  # edges that are drawn, the largest
_FIRST = 80  # of them are shown at most before the slider is moved
_LEVEL, _LABEL = 84, 12  # pixels between levels; columns of token text below and on top
_PLACE = (30, 64)  # pixels of a position, at least and at most
_WIDTH = 690  # pixels that a picture fills if positions have room for it


def flow_chart(
    nodes: pd.DataFrame, edges: pd.DataFrame, prediction: str, *, scheme: Scheme = "light"
) -> Figure:
    """Tokens at the bottom, a level for each block, the prediction on top; a line for each step.

    Orange raises and blue, dashed, lowers; width is size. At most 500 steps are drawn; a slider in
    the chart hides those below a size.

    Args:
        nodes: a row per stream: `level`, `position`, `token`, `value`.
        edges: a row per step: `level`, `position`, `to_level`, `to_position`, `value`.
        prediction: what is explained, as text of its token.

    Raises:
        InputError: columns are missing, no streams or steps, a value that is not finite, or a step
            from or to no stream.
    """
    require_columns(nodes, ("level", "position", "token", "value"), "streams")
    require_columns(edges, ("level", "position", "to_level", "to_position", "value"), "steps")
    finite(nodes["value"], "values of the streams")
    finite(edges["value"], "values of the steps")
    drawn = edges.loc[edges["value"].abs().sort_values(ascending=False).index[:_MOST]]
    names = dict(zip(nodes["position"], nodes["token"], strict=True))
    known = set(zip(nodes["level"], nodes["position"], strict=True))
    ends = [*zip(drawn["level"], drawn["position"], strict=True)]
    ends += [*zip(drawn["to_level"], drawn["to_position"], strict=True)]
    if not known.issuperset(ends):
        raise InputError("A step begins or ends at a stream that is not among the streams.")
    chart = _layers(nodes, drawn, names, prediction, scheme)
    finding = _finding(nodes, edges, len(drawn), names, prediction)
    return Figure(themed(chart, scheme), finding, _table(drawn, names))


def _table(rows: pd.DataFrame, names: dict[int, str]) -> pd.DataFrame:
    """Steps with the tokens at both ends."""
    return pd.DataFrame(
        {
            "level": rows["level"],
            "position": rows["position"],
            "token": rows["position"].map(names),
            "to_level": rows["to_level"],
            "to_position": rows["to_position"],
            "to_token": rows["to_position"].map(names),
            "value": rows["value"],
        }
    ).reset_index(drop=True)


def _layers(
    nodes: pd.DataFrame,
    drawn: pd.DataFrame,
    names: dict[int, str],
    prediction: str,
    scheme: Scheme,
) -> alt.LayerChart | alt.FacetChart:
    colors = PALETTES[scheme]
    sizes = drawn["value"].abs()
    largest = float(sizes.max()) or 1.0
    lines = drawn.assign(
        size=sizes,
        heard=[
            f"level {e.level}, {e.position} {quoted(names[e.position])} to level {e.to_level}, "
            f"{e.to_position} {quoted(names[e.to_position])}: {number(e.value, signed=True)}"
            for e in drawn.itertuples()
        ],
    )
    held = nodes[nodes["value"] != 0]  # from the others nothing reaches the prediction
    circles = held.assign(
        size=held["value"].abs(),
        heard=[
            f"level {n.level}, {n.position} {quoted(n.token)} holds {number(n.value, signed=True)}"
            for n in held.itertuples()
        ],
    ).drop(columns="token")
    first, last = int(nodes["position"].min()), int(nodes["position"].max())
    top = int(nodes["level"].max())
    x_scale = alt.Scale(domain=[first - 0.5, last + 0.5], nice=False)
    y_scale = alt.Scale(domain=[-0.15, top + 0.45], nice=False)
    axis = alt.Axis(values=list(range(top + 1)), format="d", title="level")
    step = float(f"{largest / 200:.0e}")  # a number that is short to read
    few = float(sizes.iloc[_FIRST]) if len(sizes) > _FIRST else 0.0
    start = max(2, round(few / step)) * step  # at least a hundredth of the largest
    slider = alt.param(
        name="least",
        value=float(f"{start:.6g}"),
        bind=alt.binding_range(min=0, max=largest, step=step, name="hide steps below "),
    )
    shade = alt.condition(
        "datum.value >= 0", alt.value(colors.diverging[-2]), alt.value(colors.diverging[1])
    )
    rules = (
        alt.Chart(lines)
        .mark_rule(strokeCap="round", opacity=0.7)
        .encode(
            x=alt.X("position:Q", scale=x_scale, axis=None),
            y=alt.Y("level:Q", scale=y_scale, axis=axis),
            x2="to_position:Q",
            y2="to_level:Q",
            color=shade,
            strokeDash=alt.condition("datum.value >= 0", alt.value([1, 0]), alt.value([5, 4])),
            strokeWidth=alt.StrokeWidth(
                "size:Q", scale=alt.Scale(domain=[0, largest], range=[0.6, 9]), legend=None
            ),
            tooltip=[alt.Tooltip("heard:N", title=" ")],
            description="heard:N",
        )
        .add_params(slider)
        .transform_filter("datum.size >= least")
    )
    points = (
        alt.Chart(circles)
        .mark_circle(opacity=1, stroke=colors.paper, strokeWidth=1, aria=False)
        .encode(
            x=alt.X("position:Q", scale=x_scale, axis=None),
            y=alt.Y("level:Q", scale=y_scale, axis=axis),
            size=alt.Size("size:Q", scale=alt.Scale(range=[12, 260]), legend=None),
            color=shade,
            tooltip=[alt.Tooltip("heard:N", title=" ")],
        )
    )
    words = nodes.groupby("position", as_index=False)["level"].min()
    words["label"] = [shorten(visible(names[i]), _LABEL) for i in words["position"]]
    longest = max(columns(label) for label in words["label"])
    tokens = (
        alt.Chart(words)
        .mark_text(angle=300, align="right", baseline="middle", dx=-8, dy=6, font=MONO, aria=False)
        .encode(
            x=alt.X("position:Q", scale=x_scale, axis=None),
            y=alt.Y("level:Q", scale=y_scale, axis=axis),
            text="label:N",
            color=alt.value(colors.ink),
        )
    )
    # Of a text's last streams those that the prediction reads have a value; it stands above them.
    read = nodes[(nodes["level"] == top) & (nodes["value"] != 0)]
    at = pd.DataFrame(
        {
            "position": [float(read["position"].mean()) if len(read) else last],
            "level": [top],
            "label": [shorten(visible(prediction), 2 * _LABEL)],
        }
    )
    said = (
        alt.Chart(at)
        .mark_text(align="right", dy=-18, dx=8, font=MONO, fontSize=14, fontWeight="bold")
        .encode(
            x=alt.X("position:Q", scale=x_scale, axis=None),
            y=alt.Y("level:Q", scale=y_scale, axis=axis),
            text="label:N",
            color=alt.value(colors.ink),
        )
    )
    place = min(max(_WIDTH // (last - first + 1), _PLACE[0]), _PLACE[1])
    chart = alt.layer(rules, points, tokens, said).properties(
        width=place * (last - first + 1),
        height=round(_LEVEL * (top + 0.6)),
        padding={"left": 5, "right": 5, "top": 5, "bottom": 6 * longest},
    )
    laid: alt.LayerChart | alt.FacetChart = chart.resolve_scale(size="independent")
    return laid


def _finding(
    nodes: pd.DataFrame, edges: pd.DataFrame, drawn: int, names: dict[int, str], prediction: str
) -> str:
    lowest = nodes.loc[nodes.groupby("position")["level"].idxmin()]
    source = lowest.loc[lowest["value"].abs().idxmax()]
    parts = [
        f"Of what reaches {quoted(prediction)}, the token {source['position']} "
        f"{quoted(source['token'])} brings most, {number(float(source['value']), signed=True)}"
    ]
    across = edges[edges["position"] != edges["to_position"]]
    if len(across):
        step = across.loc[across["value"].abs().idxmax()]
        one, other = int(step["position"]), int(step["to_position"])
        parts.append(
            f"the largest step between tokens goes from {one} {quoted(names[one])} at level "
            f"{int(step['level'])} to {other} {quoted(names[other])} at level "
            f"{int(step['to_level'])}, {number(float(step['value']), signed=True)}"
        )
    return "; ".join(parts) + f". {count(drawn, 'step')} of {len(edges)} are in the picture."
