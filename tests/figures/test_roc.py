"""The chart of ROC curves says what it shows."""

from __future__ import annotations

import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.roc import roc_chart
from tests.figures.spec import drawn, texts_of


def frame() -> pd.DataFrame:
    curves = {
        "loss": [(0, 0), (0.01, 0.2), (0.5, 0.9), (1, 1)],
        "zlib": [(0, 0), (0.01, 0.02), (0.5, 0.6), (1, 1)],
        "blind": [(0, 0), (1, 1)],
    }
    rows = [(name, *point) for name, points in curves.items() for point in points]
    return pd.DataFrame(rows, columns=["attack", "fpr", "value"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_finding_is_the_best_attack_and_its_share_of_members(scheme: str) -> None:
    figure = roc_chart(frame(), blind="blind", unsure_below=0.005, scheme=scheme)
    area = 0.01 * 0.1 + 0.49 * 0.55 + 0.5 * 0.95
    assert f"the best is loss with an area of {area:.2f}" in figure.alt
    assert "words alone have 0.50" in figure.alt
    assert "finds 20% of the members while 1.0% of the non-members" in figure.alt
    assert figure.frame["attack"].tolist() == ["loss", "zlib", "blind"]
    texts = texts_of(drawn(figure.chart))
    assert f"loss: AUROC {area:.2f}" in texts
    assert not any(text.startswith("blind: ") for text in texts)


def test_a_rate_that_is_not_known_is_not_said() -> None:
    assert "while 20% of the non-members" in roc_chart(frame(), blind="blind", unsure_below=0.2).alt


def test_curves_without_a_baseline_are_refused() -> None:
    with pytest.raises(InputError, match="an attack and the baseline 'blind'"):
        roc_chart(frame()[lambda f: f["attack"] != "blind"], blind="blind", unsure_below=0.1)
    with pytest.raises(InputError, match="not between 0 and 1"):
        roc_chart(frame().assign(value=2.0), blind="blind", unsure_below=0.1)
