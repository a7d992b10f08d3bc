"""A concept that a model uses costs more than a random subspace; one that it does not, no more."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from interp.errors import InputError
from interp.figures.erasure import erasure_chart
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer
from probes.erasure import erasure
from probes.labelled import Labelled, Parts
from tests.figures.spec import drawn

WORDS = [f"{side}{i}" for side in "ab" for i in range(8)]


def model() -> HookedTransformer:
    """Words of two sides, known from coordinate 0, and even or odd, known from coordinate 1. The
    next word is of the same side, which is all that the model says; its block does nothing."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    backend = Backend(models.WordLevel({w: i for i, w in enumerate([*WORDS, "?"])}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    cfg = TransformerConfig(
        d_model=8,
        n_layers=1,
        n_heads=1,
        d_vocab=17,
        n_ctx=16,
        attn_only=True,
        normalization_type="RMS",
        default_prepend_bos=False,
    )
    made = HookedTransformer(cfg, Tokenizer(backend, {"unk": "?"})).eval()
    side = torch.tensor([1.0] * 8 + [-1.0] * 8)
    parity = torch.tensor([1.0, -1.0] * 8)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        for name, gain in made.named_parameters():
            if "ln" in name and name.endswith("weight"):
                gain.fill_(1.0)
        made.embed.weight[:16, 0], made.embed.weight[:16, 1] = side, parity
        noise = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
        made.embed.weight[:16, 2:] = noise
        made.W_U[0, :16] = 4 * side
    return made


def parts(concept: str) -> Parts:
    """Sentences of words of one side each, in three parts."""
    random = np.random.default_rng(0)
    words = [[f"{random.choice(list('ab'))}"] * 12 for _ in range(120)]
    sentences = [[f"{w}{random.integers(8)}" for w in row] for row in words]
    labels = [[w[0] if concept == "side" else str(int(w[1]) % 2) for w in row] for row in sentences]
    documents = [f"d{i}" for i in range(120)]
    return Parts.by_document(Labelled.words(sentences, labels, documents=documents))


def mean(frame: pd.DataFrame, metric: str, method: str) -> float:
    chosen = frame[(frame["metric"] == metric) & (frame["method"] == method)]
    return float(chosen["value"].mean())


def test_what_is_used_costs_its_bit_and_what_is_not_used_costs_nothing() -> None:
    used = erasure(model(), parts("side"), iterations=1)
    assert set(used["layer"]) == {0, 1}
    assert mean(used, "accuracy", "none") == 1.0 and mean(used, "delta_loss", "none") == 0.0
    chance = float(used["chance"].dropna().iloc[0])
    assert mean(used, "accuracy", "leace") == pytest.approx(chance)
    # The model knew that the next word is one of eight, and now knows only that it is one of 17
    # tokens, and which side is commoner in the train part.
    assert mean(used, "delta_loss", "leace") == pytest.approx(np.log(17 / 8), rel=0.25)
    assert mean(used, "delta_loss", "random") < 0.5 * mean(used, "delta_loss", "leace")
    unused = erasure(model(), parts("parity"), iterations=1)
    assert mean(unused, "accuracy", "none") > 0.95
    assert mean(unused, "accuracy", "leace") < 0.6
    assert abs(mean(unused, "delta_loss", "leace")) < 0.05


def test_each_rank_has_its_random_subspaces_and_layers_can_be_chosen() -> None:
    frame = erasure(model(), parts("side"), layers=[1], iterations=3, draws=2)
    assert set(frame["layer"]) == {1}
    random = frame[(frame["method"] == "random") & (frame["metric"] == "accuracy")]
    others = frame[frame["method"].isin(["leace", "inlp"])]
    assert set(random["rank"]) == set(others["rank"])
    assert (random.groupby("rank").size() == 2).all()
    inner = frame[(frame["metric"] == "accuracy") & (frame["method"] == "none")].iloc[0]
    assert inner["ci_low"] <= inner["value"] <= inner["ci_high"]
    with pytest.raises(InputError, match="layer 7"):
        erasure(model(), parts("side"), layers=[7])
    for scheme in ("light", "dark"):
        figure = erasure_chart(frame, scheme=scheme)
        assert "after LEACE" in figure.alt and "<svg" in drawn(figure.chart)


def test_one_label_is_nothing_to_erase() -> None:
    sentences = [["a1", f"a{i % 8}", f"b{i // 8}"] for i in range(60)]
    data = Labelled.words(sentences, [["x"] * 3] * 60, documents=[f"d{i}" for i in range(60)])
    with pytest.raises(InputError, match="nothing to erase"):
        erasure(model(), Parts.by_document(data))
