"""TransformerLens's direct logit attribution runs on our model unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model.transformer_lens.models import CLEAN, SENTENCE, Pair, close

pytest.importorskip("transformer_lens")

from transformer_lens.tools.analysis import direct_logit_attribution


@pytest.mark.parametrize("unit", ["component", "layer", "head"])
@pytest.mark.parametrize("pos", [-1, None, (1, 4)])
@pytest.mark.parametrize("incorrect", [None, "w8"])
def test_direct_logit_attribution(unit: str, pos: Any, incorrect: str | None, folded: Pair) -> None:
    mine, theirs = (
        direct_logit_attribution(model, CLEAN, "w7", incorrect, unit=unit, pos=pos)
        for model in folded
    )
    assert mine.labels == theirs.labels
    close(mine.attribution, theirs.attribution)


def test_direct_logit_attribution_needs_no_folding_here(plain: Pair, folded: Pair) -> None:
    """The bridge refuses raw weights, for which TransformerLens's sum leaves out the gain."""
    mine, theirs = plain
    with pytest.raises(ValueError, match="compatibility mode"):
        direct_logit_attribution(theirs, CLEAN, "w7", "w8")
    raw = direct_logit_attribution(mine, SENTENCE, "w7", "w8")
    logits, cache = mine.run_with_cache(SENTENCE)
    whole = raw.attribution.sum(0) + cache.logit_bias(7, 8)
    close(whole, logits[:, -1, 7] - logits[:, -1, 8])
    # What folding moves into the bias is constant; what depends on the text is the same.
    processed = direct_logit_attribution(folded[0], SENTENCE, "w7", "w8")
    _, folded_cache = folded[0].run_with_cache(SENTENCE)
    close(processed.attribution.sum(0) + folded_cache.logit_bias(7, 8), whole)
