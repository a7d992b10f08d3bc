"""Stores: opened without copying, in every precision, and refused if they are not what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from interp.activations import Store, gather, harvest
from interp.activations.precision import from_stored, to_stored
from interp.errors import InputError, LoadError
from interp.model.transformer import HookedTransformer
from tests.activations.harvests import SITES, some_model, some_plan
from tests.model.configurations import build

ROWS_ALONE: dict[str, Any] = {"moments": False, "classes": None, "pairs": ()}


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return some_model()


@pytest.fixture(scope="module", params=["float32", "bfloat16", "int8"])
def store(
    request: pytest.FixtureRequest,
    model: HookedTransformer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Store:
    folder = tmp_path_factory.mktemp(request.param)
    return harvest(model, some_plan(rows=request.param, **ROWS_ALONE), folder)


def test_rows_err_by_the_rounding_of_their_precision(
    store: Store, model: HookedTransformer
) -> None:
    exact = gather(model, some_plan().texts, SITES, tokens=60).values
    for site in SITES:
        error = (store.read(site) - exact[site]).abs()
        largest = exact[site].abs().amax(1, keepdim=True)
        bound = {
            "float32": torch.zeros_like(error),
            "bfloat16": exact[site].abs() * 2**-8,
            "int8": (largest / 254 * 1.001).expand_as(error),
        }[str(store.precision)]
        assert (error <= bound).all()
        assert store.precision == "float32" or error.any()


def test_rows_of_enormous_and_of_no_values() -> None:
    rows = torch.tensor([[0.0, 0.0], [3e38, -1.0], [1e-38, 5e-39]])
    stored = to_stored(rows, "int8")
    error = (from_stored(stored[".bin"], stored[".scale.bin"]) - rows).abs()
    assert error.le(rows.abs().amax(1, keepdim=True) / 250 + 1e-38).all()


def test_nothing_is_copied(store: Store) -> None:
    """What is changed in the file is changed in what was opened."""
    site = SITES[0]
    tensor = store.tensor(site)
    assert tensor.shape == (len(store), store.sites[site])
    views: list[Any] = [tensor.view(torch.uint8)]
    if store.precision != "bfloat16":
        array, frame = store.numpy(site), store.frame(site)
        assert isinstance(array, np.memmap) and not array.flags.writeable
        assert frame.shape == array.shape and np.shares_memory(
            frame.to_numpy(), frame.iloc[:, 0].to_numpy()
        )
        views += [array, frame]
    path = store.folder / f"{site}.bin"
    before = path.read_bytes()
    with path.open("r+b") as file:
        file.write(bytes([before[0] ^ 1]))
    try:
        assert int(views[0][0, 0]) == before[0] ^ 1
        for view in views[1:]:
            value = view.iloc[0, 0] if isinstance(view, pd.DataFrame) else view[0, 0]
            assert value.tobytes()[0] == before[0] ^ 1
        with pytest.raises(LoadError, match=rf"{site}\.bin was changed .* shard"):
            store.verify()
    finally:
        path.write_bytes(before)
    store.verify()
    again = store.tensor(site)
    again.zero_()  # reaches memory alone
    assert path.read_bytes() == before


def test_some_rows(store: Store) -> None:
    site = SITES[1]
    everything = store.read(site)
    mask = (store.places["tag"] == "noun").to_numpy(dtype=bool)
    assert torch.equal(store.read(site, [5, 2, 2]), everything[[5, 2, 2]])
    assert torch.equal(store.read(site, slice(3, 9)), everything[3:9])
    assert torch.equal(store.read(site, mask), everything[torch.tensor(mask)])
    assert torch.equal(store.read("z1"), everything)  # a short name


def test_export(store: Store, tmp_path: Path) -> None:
    store.export(tmp_path / "all.safetensors")
    found = load_file(tmp_path / "all.safetensors")
    for site in SITES:
        assert torch.equal(found[site], store.tensor(site))
        scales = found.get(f"{site}.scale")
        assert torch.equal(from_stored(found[site], scales), store.read(site))
    with safe_open(tmp_path / "all.safetensors", "pt") as file:
        assert file.metadata()["weights"] == store.about["weights"]
    store.export(tmp_path / "some.safetensors", slice(1, 9, 3))
    assert len(load_file(tmp_path / "some.safetensors")[SITES[0]]) == 3


def test_numpy_has_no_bfloat16(store: Store) -> None:
    if store.precision == "bfloat16":
        with pytest.raises(InputError, match="no bfloat16"):
            store.numpy(SITES[0])
    if store.precision != "int8":
        with pytest.raises(InputError, match="no scales"):
            store.scales(SITES[0])
    with pytest.raises(InputError, match=r"no site 'hook_embed'; it has blocks\.0"):
        store.read("hook_embed")


def test_other_weights(store: Store, model: HookedTransformer) -> None:
    assert Store.open(store.folder, model).about == store.about
    with pytest.raises(LoadError, match="other weights"):
        Store.open(store.folder, build("decoder", seed=5))


def test_what_is_no_store(tmp_path: Path, model: HookedTransformer) -> None:
    with pytest.raises(LoadError, match="no store"):
        Store.open(tmp_path)
    harvest(model, some_plan(**ROWS_ALONE), tmp_path)
    manifest = tmp_path / "manifest.json"
    good = manifest.read_text("utf-8")
    for bad in (
        "{",
        "[]",
        json.dumps({**json.loads(good), "sites": 3}),
        good.replace("float32", "f8"),
        good.replace("blocks.0", "../blocks"),
    ):
        manifest.write_text(bad, "utf-8")
        with pytest.raises((LoadError, InputError)):
            Store.open(tmp_path)
    manifest.write_text(good, "utf-8")
    path = tmp_path / f"{SITES[2]}.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LoadError, match="bytes long"):
        Store.open(tmp_path)
    with pytest.raises(LoadError, match="no moments"):
        _ = Store(tmp_path, {}, {}, None).summary
