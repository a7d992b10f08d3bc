"""Charts in pages that run no script: drawn once, as pictures, in light and in dark."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape

from interp.errors import InputError
from interp.figures.figure import Figure
from interp.figures.labels import literal
from interp.figures.theme import Scheme


def figure_html(draw: Callable[[Scheme], Figure]) -> str:
    """A chart as a picture with its finding below, for `page_html`.

    Args:
        draw: makes the figure in a scheme; the reader's device chooses which is shown.

    Raises:
        InputError: the library that draws charts is not installed.
    """
    light, dark = draw("light"), draw("dark")
    finding = escape(literal(light.alt))
    return (
        '<figure style="margin:0"><picture>'
        f'<source media="(prefers-color-scheme:dark)" srcset="{_address(dark)}">'
        f'<img src="{_address(light)}" alt="{finding}" style="max-width:100%;height:auto">'
        f"</picture><figcaption>{finding}</figcaption></figure>"
    )


def _address(figure: Figure) -> str:
    """The picture as a `data:` address, an SVG that asks for nothing from elsewhere."""
    try:
        import vl_convert
    except ImportError as error:
        raise InputError(
            "Charts are drawn into a page with vl-convert. Install the extra: "
            "pip install 'interp[pages]'."
        ) from error
    spec = json.dumps(figure.chart.to_dict())
    svg: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode("ascii")


def table_html(lines: Sequence[Sequence[str]], summary: str) -> str:
    """Cells of text as a table, folded away under `summary`; the first line is the header."""
    header, *rows = [[escape(literal(cell)) for cell in line] for line in lines]
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<details open><summary>{escape(literal(summary))}</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    )
