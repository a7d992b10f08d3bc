"""The adapter for Ray, on a stand-in that calls what Ray would call."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from interp.activations.ray_data import Pooling, with_activations
from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from tests.model.configurations import build
from tests.model.texts import byte_tokenizer

TEXTS = ["a cat", "b", "seven words are a lot of words", "é"]


class Dataset:
    """A batch of rows, and `map_batches` as Ray documents it for classes."""

    def __init__(self, batch: dict[str, Any]):
        self.batch = batch
        self.options: dict[str, Any] = {}

    def map_batches(
        self, kind: Any, *, fn_constructor_kwargs: dict[str, Any], **options: Any
    ) -> Any:
        mapped = Dataset(kind(**fn_constructor_kwargs)(self.batch))
        mapped.options = options
        return mapped


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> None:
    top, data = ModuleType("ray"), ModuleType("ray.data")
    data.Dataset = Dataset  # type: ignore[attr-defined]
    top.data = data  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", top)
    monkeypatch.setitem(sys.modules, "ray.data", data)


def opened() -> HookedTransformer:
    model = build("decoder", d_vocab=259)
    model.tokenizer = byte_tokenizer()
    return model


@pytest.mark.parametrize("pool", ["mean", "first", "last"])
@pytest.mark.usefixtures("ray")
def test_each_text_gets_its_vector(pool: Pooling) -> None:
    batch = {"text": np.array(TEXTS), "id": np.arange(4)}
    sites = ["blocks.0.hook_resid_post", "blocks.1.attn.hook_z"]
    mapped = with_activations(Dataset(batch), opened, sites, pool=pool, concurrency=2, num_gpus=1)
    assert mapped.options == {"batch_format": "numpy", "concurrency": 2, "num_gpus": 1}
    assert set(mapped.batch) == {"text", "id", *sites}
    model = opened()
    for i, text in enumerate(TEXTS):
        tokens = model.to_tokens(text, truncate=True)
        with torch.no_grad():
            _, cache = model.run_with_cache(tokens, names_filter=sites)
        for site in sites:
            said = cache[site][0, 1:].flatten(1)  # without the begin-of-text token
            want = {"mean": said.mean(0), "first": said[0], "last": said[-1]}[pool]
            np.testing.assert_allclose(mapped.batch[site][i], want.numpy(), atol=1e-5)


@pytest.mark.usefixtures("ray")
def test_refusals() -> None:
    with pytest.raises(InputError, match="list is no data set"):
        with_activations([], opened, "hook_embed")
    with pytest.raises(InputError, match="no column 'said'; there are text"):
        with_activations(Dataset({"text": np.array(TEXTS)}), opened, "hook_embed", column="said")
    with pytest.raises(InputError, match="pool is 'max'"):
        with_activations(Dataset({}), opened, "hook_embed", pool="max")  # type: ignore[arg-type]


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="needs Ray"):
        with_activations(object(), opened, "hook_embed")
