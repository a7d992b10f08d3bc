"""Models that have no table here are read and kept like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

import interp
from interp.activations import Plan, Side, Store, Texts, gather, harvest

LENGTHS = (5, 2, 9, 3)


@pytest.fixture(scope="module")
def model() -> object:
    torch.manual_seed(0)
    config = transformers.GPTBigCodeConfig(
        vocab_size=40, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3
    )
    return interp.load(transformers.GPTBigCodeForCausalLM(config).eval())


def test_padded_rows_are_those_of_each_text_alone(model: object, tmp_path: Path) -> None:
    assert type(model).__name__ == "BridgedTransformer"
    ids = [torch.arange(n).add(n).tolist() for n in LENGTHS]
    sites = ["blocks.0.hook_resid_post", "blocks.1.attn.hook_z"]
    texts = Texts(Side(ids))
    rows = gather(model, texts, sites, tokens=20)  # type: ignore[arg-type]
    store = harvest(model, Plan(texts, sites, tokens=20), tmp_path)  # type: ignore[arg-type]
    Store.open(tmp_path, model)  # type: ignore[arg-type]
    for text, tokens in enumerate(ids):
        with torch.no_grad():
            _, cache = model.run_with_cache(torch.tensor([tokens]), names_filter=sites)  # type: ignore[attr-defined]
        for site in sites:
            here = rows.places.text == text
            alone = cache[site][0].flatten(1)
            torch.testing.assert_close(rows.values[site][here], alone, rtol=0, atol=2e-5)
            torch.testing.assert_close(store.read(site, here), alone, rtol=0, atol=2e-5)
