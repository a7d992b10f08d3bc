"""The pictures of dictionaries say what they show."""

from __future__ import annotations

import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.dictionary import frontier_chart
from interp.figures.latent import latent_chart
from tests.figures.spec import drawn, texts_of


def frame(kinds: tuple[str, ...] = ("topk", "jumprelu")) -> pd.DataFrame:
    rows = []
    for i, kind in enumerate(kinds):
        for l0, fvu in ((16, 0.2), (64, 0.08)):
            values = {"l0": l0 + i, "fvu": fvu + 0.01 * i, "loss_recovered_mean": 1 - fvu / 2}
            for metric, value in values.items():
                row = {"kind": kind, "latents": 512, "wanted_l0": l0, "metric": metric}
                rows.append(row | {"value": value, "ci_low": value, "ci_high": value})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_frontier_says_its_ends_and_the_best(scheme: str) -> None:
    figure = frontier_chart(frame(), scheme)  # type: ignore[arg-type]
    assert "20% with 16.0 active latents (topk)" in figure.alt
    assert "9.0% with 65.0 active latents (jumprelu)" in figure.alt
    assert "The most of the loss is recovered by" in figure.alt and "96%" in figure.alt
    texts = texts_of(drawn(figure.chart))
    assert {"topk", "jumprelu", "fraction of variance unexplained"} <= set(texts)


def test_without_a_loss_there_is_one_panel() -> None:
    only = frame(("topk",))
    figure = frontier_chart(only[only["metric"] != "loss_recovered_mean"])
    assert "loss" not in figure.alt
    assert "loss recovered (mean-ablated is 0)" not in texts_of(drawn(figure.chart))


def test_a_frontier_without_values_is_refused() -> None:
    with pytest.raises(InputError, match="lacks the column"):
        frontier_chart(frame().drop(columns="kind"))
    with pytest.raises(InputError, match="no L0"):
        frontier_chart(frame()[lambda f: f["metric"] != "l0"])
    with pytest.raises(InputError, match="no L0"):
        frontier_chart(frame()[lambda f: f["metric"] == "l0"])


def contexts() -> pd.DataFrame:
    rows = []
    for rank, tokens in enumerate([[" a", " very", "\u202e<b>"], ["It", " very"]], 1):
        for i, token in enumerate(tokens):
            value = 8.0 / rank if token == " very" else 0.0
            row = {"latent": 3, "rank": rank, "text": rank, "place": i - 1, "token": token}
            rows.append(row | {"metric": "activation", "value": value})
    return pd.DataFrame(rows)


def writes() -> pd.DataFrame:
    rows = [("promoted", 1, " good", 0.5), ("suppressed", 1, "'];alert(1);['", -0.25)]
    return pd.DataFrame(rows, columns=["side", "rank", "token", "value"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_card_shows_contexts_and_what_is_written(scheme: str) -> None:
    figure = latent_chart(contexts(), writes(), scheme)  # type: ignore[arg-type]
    assert "Latent 3 is strongest, 8.00, on “·very”" in figure.alt
    assert "in 2 contexts the strongest token is “·very” 2 times" in figure.alt
    assert "raises “·good” most" in figure.alt
    texts = texts_of(drawn(figure.chart))
    assert {"·very", "·a", "It", "⟨U+202E⟩<b>", "·good", "'];alert(1);['"} <= set(texts)


def test_a_card_without_a_head_has_contexts_alone() -> None:
    figure = latent_chart(contexts(), writes().iloc[:0])
    assert "raises" not in figure.alt
    assert "what it writes" not in texts_of(drawn(figure.chart))


def test_a_card_is_of_one_latent_with_one_peak_a_line() -> None:
    with pytest.raises(InputError, match="of several"):
        latent_chart(contexts().assign(latent=[3, 3, 3, 4, 4]), writes())
    with pytest.raises(InputError, match="place 0"):
        latent_chart(contexts().assign(place=1), writes())
    with pytest.raises(InputError, match="no rows"):
        latent_chart(contexts().iloc[:0], writes())
