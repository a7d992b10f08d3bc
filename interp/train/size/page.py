"""A recommendation as one HTML file that opens without a network."""

from __future__ import annotations

from pathlib import Path

from interp.atomic import writing
from interp.errors import InputError
from interp.figures.amounts import budget_text
from interp.figures.figure import Figure
from interp.figures.theme import Scheme
from interp.train.size.recommendation import Recommendation
from interp.train.size.words import describe, shape_cells


def to_html(found: Recommendation, path: Path | None = None) -> str:
    """The recommendation in words, its two charts and its table; also written to `path`.

    Raises:
        InputError: the file cannot be written, or the library that draws charts is missing.
    """
    from interp.figures.frontier import frontier_chart, use_chart
    from interp.figures.page import page_html, paragraph_html
    from interp.figures.still import figure_html, table_html

    def frontier(scheme: Scheme) -> Figure:
        unit, loss_unit = found.unit, found.law.unit
        return frontier_chart(found.frontier, unit=unit, loss_unit=loss_unit, scheme=scheme)

    def use(scheme: Scheme) -> Figure:
        return use_chart(found.candidates, loss_unit=found.law.unit, scheme=scheme)

    text = page_html(
        f"Which model for {budget_text(found.budget, found.unit)} of training?",
        paragraph_html("\n".join(describe(found))),
        *(paragraph_html(f"Warning: {warning}") for warning in found.warnings),
        figure_html(frontier),
        figure_html(use),
        table_html(shape_cells(found), "The shapes around the recommended one"),
    )
    if path is not None:
        try:
            with writing(path) as file:
                file.write(text)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    return text
