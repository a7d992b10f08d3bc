"""TransformerLens's head detector scores our heads as it scores its own."""

from __future__ import annotations

import pytest
import torch

from tests.model.transformer_lens.models import SENTENCE, Pair, close, ours

pytest.importorskip("transformer_lens")

from transformer_lens import head_detector


@pytest.mark.parametrize("head", ["previous_token_head", "duplicate_token_head", "induction_head"])
@pytest.mark.parametrize("measure", ["mul", "abs"])
@pytest.mark.parametrize("exclude", [False, True])
def test_head_detection(head: str, measure: str, exclude: bool, plain: Pair) -> None:
    scores = [
        head_detector.detect_head(
            model,
            SENTENCE,
            head,
            exclude_bos=exclude,
            exclude_current_token=exclude,
            error_measure=measure,
        )
        for model in plain
    ]
    # "abs" rounds to three digits
    torch.testing.assert_close(*scores, atol=1e-3 if measure == "abs" else 2e-5, rtol=0)
    assert scores[0].unique().numel() > 1


def test_head_detection_in_several_texts_and_with_a_pattern_of_ones_own() -> None:
    model = ours()
    texts = [SENTENCE, "w1 w2 w1 w2 w1 w2 w1"]
    scores = [head_detector.detect_head(model, text, "induction_head") for text in texts]
    together = head_detector.detect_head(model, texts, "induction_head")
    close(together, torch.stack(scores).mean(0))
    first = torch.zeros(8, 8)
    first[:, 0] = 1.0
    mine = head_detector.detect_head(model, SENTENCE, first, heads=[(1, 2)])
    pattern = model.run_with_cache(SENTENCE)[1]["pattern", 1][0, 2]
    close(mine[1, 2], (pattern * first).sum() / pattern.sum())
    assert (mine == -1).sum() == 7
