"""The last layer is the model itself; a block that does nothing leaves the answer as it was."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from interp.errors import ConfigError, InputError
from interp.model.transformer import HookedTransformer
from interp.train.tasks.classification import Classification
from probes.class_lens import class_lens
from tests.train.tasks.small import examples, model

LABELS = ("neg", "pos")


def classifier(**changes: object) -> HookedTransformer:
    made = {"head": "classification", "n_classes": 2, "pooling": "mean", "n_segments": 0}
    return model("encoder", **{**made, **changes}).double()


def values(frame: pd.DataFrame, metric: str) -> np.ndarray:
    return frame[frame["metric"] == metric].sort_values("layer")["value"].to_numpy()


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_the_last_layer_is_the_model(pooling: str) -> None:
    of, asked = classifier(pooling=pooling), examples(30)
    frame = class_lens(of, asked, LABELS)
    answers = Classification(LABELS).answer(of, asked).argmax(1)
    right = np.mean([LABELS[i] == e.label for i, e in zip(answers, asked, strict=True)])
    assert values(frame, "kl")[-1] == pytest.approx(0, abs=1e-12)
    assert values(frame, "agreement")[-1] == 1
    assert values(frame, "accuracy")[-1] == pytest.approx(right)
    assert values(frame, "kl")[0] > 1e-6


def test_an_earlier_layer_is_the_model_without_the_blocks_behind_it() -> None:
    of, asked = classifier(), examples(30)
    before = class_lens(of, asked, LABELS)
    with torch.no_grad():
        block = of.blocks[-1]
        for part in (block.attn.W_O, block.attn.b_O, block.mlp.W_out, block.mlp.b_out):
            part.zero_()
    after = class_lens(of, asked, LABELS)
    for metric in ("kl", "agreement"):
        assert values(after, metric)[1] == pytest.approx(values(after, metric)[2], abs=1e-12)
    accuracy = values(before, "accuracy")
    assert values(after, "accuracy") == pytest.approx([accuracy[0], accuracy[1], accuracy[1]])


def test_what_it_cannot_read_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a model with the head"):
        class_lens(model(), examples(4), LABELS)
    with pytest.raises(InputError):
        class_lens(classifier(), examples(4), ("bad", "worse"))
