"""Pictures of matrices, read back by another PNG decoder."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from interp.figures.png import heat_png, max_pool
from interp.figures.theme import PALETTES, rgb, sequential_color

Image = pytest.importorskip("PIL.Image", reason="Pillow, a dependency of Streamlit, reads the PNG")

STOPS = PALETTES["light"].sequential
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
MATRICES = arrays(np.float64, SHAPES, elements=st.floats(0, 1) | st.just(float("nan")))


def pixels(address: str) -> np.ndarray:
    kind, data = address.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(BytesIO(b64decode(data))).convert("RGBA")).astype(int)


@given(MATRICES, st.sampled_from([1.0, 0.25]))
def test_each_cell_has_the_colour_of_its_value(values: np.ndarray, limit: float) -> None:
    seen = pixels(heat_png(values, STOPS, limit))
    assert seen.shape == (*values.shape, 4)
    for place in np.ndindex(values.shape):
        if np.isnan(values[place]):
            assert seen[place][3] == 0
            continue
        assert seen[place][3] == 255
        wanted = rgb(sequential_color(values[place], limit, "light"))
        # One of 255 levels away at most; the steepest part of the scale moves 3 a channel there.
        assert np.abs(seen[place][:3] - wanted).max() <= 3


@given(MATRICES, st.integers(0, 50))
def test_cells_grow_by_a_whole_factor(values: np.ndarray, side: int) -> None:
    small, large = pixels(heat_png(values, STOPS)), pixels(heat_png(values, STOPS, side=side))
    factor = large.shape[0] // small.shape[0]
    assert (small.repeat(factor, 0).repeat(factor, 1) == large).all()
    assert max(large.shape[:2]) >= side
    assert factor == 1 or max(small.shape[:2]) * (factor - 1) < side


@given(MATRICES, st.integers(1, 12))
def test_pooling_keeps_every_peak(values: np.ndarray, most: int) -> None:
    pooled = max_pool(values, most)
    assert max(pooled.shape) <= most
    if np.isnan(values).all():
        assert np.isnan(pooled).all()
    else:
        assert np.nanmax(pooled) == np.nanmax(values)
    block = -(-max(values.shape) // most)
    for (row, column), value in np.ndenumerate(pooled):
        part = values[row * block : (row + 1) * block, column * block : (column + 1) * block]
        assert (np.isnan(value) and np.isnan(part).all()) or value == np.nanmax(part)
