"""Which cells share a forward, and from where it runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interp.explain.inside.cells import together
from interp.explain.inside.run import TOKENS


@given(st.lists(st.integers(0, 40), min_size=1, max_size=300).map(sorted), st.integers(1, 300))
def test_every_cell_runs_once_from_no_later_than_its_position(
    firsts: list[int], behind: int
) -> None:
    parts = list(together(firsts, n_pos := max(firsts) + behind))
    cells = [i for part in parts for i in range(part.start, part.stop)]
    assert sorted(cells) == list(range(len(firsts)))
    for part in parts:
        rows, width = part.stop - part.start, n_pos - firsts[part.start]
        # Beyond one cell more than is few, a forward has cells of one position only.
        assert rows == 1 or rows * width <= TOKENS or (rows - 1) * width < 64 + width


def computed(firsts: list[int], n_pos: int) -> int:
    """Positions that are computed, over all forwards."""
    parts = together(firsts, n_pos)
    return sum((part.stop - part.start) * (n_pos - firsts[part.start]) for part in parts)


def test_little_is_computed_in_vain() -> None:
    """From its own position on, each cell would take (n + 1) / 2 on average; from the start, n."""
    for n_pos, heads, most in ((16, 1, 1.35), (64, 1, 1.15), (16, 12, 1.1), (64, 12, 1.01)):
        firsts = sorted(list(range(n_pos)) * heads)
        needed = heads * n_pos * (n_pos + 1) / 2
        assert needed <= computed(firsts, n_pos) <= most * needed


def test_cells_of_one_position_fill_a_forward() -> None:
    parts = list(together([0] * 500, 16))
    assert [part.stop - part.start for part in parts] == [128, 128, 128, 116]
