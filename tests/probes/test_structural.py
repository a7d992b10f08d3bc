"""Structural probes over a model: trees that the words spell out are found, in one tidy frame."""

from __future__ import annotations

import numpy as np

from interp.data.treebank import Sentence, sentences
from interp.figures.structural import structural_chart
from probes.structural import structural
from tests.figures.spec import drawn, texts_of
from tests.probes.test_atlas import tiny


def forest(n: int, seed: int) -> list[Sentence]:
    """Trees of which each word hangs on the word before it, with a full stop."""
    generator = np.random.default_rng(seed)
    lines = []
    for i in range(n):
        words = [*generator.choice(["dog", "cat", "tree", "house", "boy"], 5), "."]
        lines += [f"# newdoc id = {seed} {i}", f"# text = {' '.join(words)}"]
        for at, word in enumerate(words):
            tag = "PUNCT" if word == "." else "NOUN"
            lines.append(f"{at + 1}\t{word}\t_\t{tag}\t_\t_\t{at}\tx\t_\t_")
        lines.append("")
    return sentences(lines, "made")


def test_a_chain_is_found_as_a_chain() -> None:
    frame = structural(tiny(), (forest(15, 0), forest(6, 1)), rank=4, epochs=2)
    assert {"uuas", "twin_uuas", "distance_spearman", "depth_spearman", "root"} <= set(
        frame["metric"]
    )
    chain = frame[frame["metric"] == "chain"]
    assert chain["value"].tolist() == [1.0] and chain["layer"].isna().all()
    found = frame[frame["metric"] == "uuas"]
    assert found["layer"].tolist() == [0, 1, 2] and found["value"].between(0, 1).all()
    figure = structural_chart(frame)
    assert "a chain of words has 100%" in figure.alt
    assert "random weights" in texts_of(drawn(figure.chart))
