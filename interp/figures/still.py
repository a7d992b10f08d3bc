"""Charts as pictures, without a browser: in pages that run no script, or in files."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from interp.atomic import writing
from interp.errors import InputError
from interp.figures.figure import Figure
from interp.figures.labels import literal
from interp.figures.page import page_html
from interp.figures.theme import Scheme


def figure_html(draw: Callable[[Scheme], Figure]) -> str:
    """A chart as a picture with its finding below, for `page_html`.

    Args:
        draw: makes the figure in a scheme; the reader's device chooses which is shown.

    Raises:
        InputError: the library that draws charts is not installed.
    """
    dark = f'<source media="(prefers-color-scheme:dark)" srcset="{_address(draw("dark"))}">'
    return shown_html(draw("light"), dark)


def shown_html(figure: Figure, sources: str = "") -> str:
    """A chart as a picture with its finding below; `sources` are others for other devices.

    Raises:
        InputError: the library that draws charts is not installed.
    """
    finding = escape(literal(figure.alt))
    return (
        f'<figure style="margin:0"><picture>{sources}'
        f'<img src="{_address(figure)}" alt="{finding}" style="max-width:100%;height:auto">'
        f"</picture><figcaption>{finding}</figcaption></figure>"
    )


def save_figure(draw: Callable[[Scheme], Figure], path: str | Path, title: str) -> None:
    """Writes a chart: `.html` with its finding and its table, `.svg` or `.png` alone, in light.

    Raises:
        InputError: another ending, or the library that draws charts is not installed.
    """
    path = Path(path)
    if path.suffix == ".html":
        frame = draw("light").frame
        cells = frame.astype(object).where(frame.notna(), "")
        lines = [list(map(str, row)) for row in (frame.columns, *cells.to_numpy())]
        page = page_html(title, figure_html(draw), table_html(lines, "The chart as a table"))
        with writing(path) as file:
            file.write(page)
        return
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"A chart goes into a file in .html, .svg or .png, not {path.name}.")
    figure, convert = draw("light"), _converter()
    with writing(path, "wb") as file:
        if path.suffix == ".svg":
            file.write(_svg(figure).encode())
        else:
            spec = json.dumps(figure.chart.to_dict())
            file.write(convert.vegalite_to_png(spec, scale=2, allowed_base_urls=[]))


def _address(figure: Figure) -> str:
    """The picture as a `data:` address."""
    return "data:image/svg+xml;base64," + b64encode(_svg(figure).encode()).decode("ascii")


def _svg(figure: Figure) -> str:
    """The picture as an SVG that asks for nothing from elsewhere."""
    spec = json.dumps(figure.chart.to_dict())
    svg: str = _converter().vegalite_to_svg(spec, allowed_base_urls=[])
    return svg


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise InputError(
            "Charts are drawn without a browser by vl-convert, which is missing: "
            "pip install vl-convert-python."
        ) from error
    return vl_convert


def table_html(lines: Sequence[Sequence[str]], summary: str) -> str:
    """Cells of text as a table, folded away under `summary`; the first line is the header."""
    header, *rows = [[escape(literal(cell)) for cell in line] for line in lines]
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<details open><summary>{escape(literal(summary))}</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    )
