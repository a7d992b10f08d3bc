from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from interp.errors import InterpError, LoadError, UnsupportedModelError
from probes.dictionary import load, save, save_sparsify
from probes.dictionary.exchange import CONFIG, SAELENS, SPARSIFY
from tests.probes.dictionary.planted import random_coder

SITE = "blocks.0.hook_resid_post"


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("d_out", [6, 9])
def test_a_round_trip_keeps_every_bit(k: int | None, d_out: int, tmp_path: Path) -> None:
    coder = random_coder(k=k, d_out=d_out)
    save(coder, tmp_path / "a")
    found = load(tmp_path / "a")
    for name, value in vars(coder).items():
        if isinstance(value, Tensor):
            assert torch.equal(getattr(found, name), value), name
        else:
            assert getattr(found, name) == value, name


@pytest.mark.parametrize("d_out", [6, 9])
def test_the_layout_of_sparsify_keeps_the_function(d_out: int, tmp_path: Path) -> None:
    coder = random_coder(k=3, d_out=d_out)
    if d_out != 6:
        with pytest.raises(UnsupportedModelError, match="sparsify"):
            save_sparsify(coder, tmp_path / "a")
        return
    save_sparsify(coder, tmp_path / "a")
    found = load(tmp_path / "a")
    x = torch.randn(20, 6, dtype=torch.float64)
    assert torch.allclose(found.encode(x), coder.encode(x), atol=1e-10)
    assert torch.allclose(found(x), coder(x), atol=1e-10)


def test_one_layout_takes_the_place_of_the_other(tmp_path: Path) -> None:
    save(random_coder(k=3, seed=1), tmp_path)
    save_sparsify(random_coder(k=3, seed=2), tmp_path)
    assert not (tmp_path / SAELENS).exists()
    assert torch.equal(load(tmp_path).W_dec, random_coder(k=3, seed=2).W_dec)


# -- what others write: their definitions, row by row ----------------------------------------------


def weights(*names: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = {"W_enc": (6, 12), "W_dec": (12, 6), "b_dec": (6,)}
    return {
        name: torch.randn(shapes.get(name, (12,)), generator=generator, dtype=torch.float64)
        for name in names
    }


def written(folder: Path, tensors: dict[str, Tensor], config: Any, file: str = SAELENS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / file)
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / CONFIG).write_text(text, "utf-8")
    return folder


def top(values: Tensor, k: int) -> Tensor:
    keep = values >= values.sort(dim=-1, descending=True).values[..., k - 1 : k]
    return torch.where(keep, values, 0.0).relu()


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk", "gated", "scaled"])
def test_files_of_saelens_mean_what_they_mean_there(
    architecture: str, centred: bool, tmp_path: Path
) -> None:
    w = weights("W_enc", "W_dec", "b_dec", "b_enc", "threshold", "b_gate", "b_mag", "r_mag")
    x = torch.randn(30, 6, dtype=torch.float64)
    read = x - w["b_dec"] if centred else x
    before = read @ w["W_enc"] + w["b_enc"]
    norms = w["W_dec"].norm(dim=1)
    config: dict[str, Any] = {"architecture": architecture, "d_in": 6, "d_sae": 12}
    if architecture == "standard":
        z = before.relu()
    elif architecture == "jumprelu":
        z = before.relu() * (before > w["threshold"])
    elif architecture == "topk":
        z, config["k"] = top(before, 4), 4
    elif architecture == "scaled":
        z = top(before * norms, 4)
        config |= {"architecture": "topk", "k": 4, "rescale_acts_by_decoder_norm": True}
    else:
        gate = read @ w["W_enc"] + w["b_gate"] > 0
        z = gate * (read @ w["W_enc"] * w["r_mag"].exp() + w["b_mag"]).relu()
    W_dec = w["W_dec"] / norms[:, None] if architecture == "scaled" else w["W_dec"]
    if architecture == "gated":
        del w["b_enc"]
    config |= {"apply_b_dec_to_input": centred, "metadata": {"hook_name": SITE}}
    coder = load(written(tmp_path, w, config))
    assert torch.allclose(coder.encode(x), z, atol=1e-10)
    assert torch.allclose(coder(x), z @ W_dec + w["b_dec"], atol=1e-10)
    assert coder.site == coder.target == SITE


@pytest.mark.parametrize("transcode", [True, False])
def test_files_of_sparsify_mean_what_they_mean_there(transcode: bool, tmp_path: Path) -> None:
    w = weights("W_enc", "W_dec", "b_dec", "b_enc")
    x = torch.randn(30, 6, dtype=torch.float64)
    z = top((x if transcode else x - w["b_dec"]) @ w["W_enc"] + w["b_enc"], 4)
    tensors = {"encoder.weight": w["W_enc"].t(), "encoder.bias": w["b_enc"]}
    tensors |= {"W_dec": w["W_dec"], "b_dec": w["b_dec"]}
    config = {"d_in": 6, "k": 4, "transcode": transcode, "activation": "topk"}
    folder = written(tmp_path, tensors, config, SPARSIFY)
    with pytest.raises(LoadError, match="pass `site`"):
        load(folder)
    coder = load(folder, site=SITE)
    assert torch.allclose(coder.encode(x), z, atol=1e-10)
    assert torch.allclose(coder(x), z @ w["W_dec"] + w["b_dec"], atol=1e-10)


# -- hostile files -------------------------------------------------------------------------------


GOOD = {"architecture": "topk", "k": 4, "metadata": {"hook_name": SITE}}


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ("", LoadError),
        ("[1]", LoadError),
        ("[" * 100_000, LoadError),
        ({**GOOD, "k": "4"}, LoadError),
        ({**GOOD, "k": True}, LoadError),
        ({**GOOD, "k": -1}, LoadError),
        ({**GOOD, "k": 10**30}, LoadError),
        ({**GOOD, "d_in": 7}, LoadError),
        ({**GOOD, "metadata": [SITE]}, LoadError),
        ({**GOOD, "metadata": {"hook_name": 5}}, LoadError),
        ({**GOOD, "architecture": "temporal"}, UnsupportedModelError),
        ({**GOOD, "architecture": ["topk"]}, InterpError),
        ({**GOOD, "normalize_activations": "layer_norm"}, UnsupportedModelError),
        ({**GOOD, "activation_fn": "tanh"}, UnsupportedModelError),
        ({**GOOD, "architecture": "gated"}, LoadError),
        ({**GOOD, "architecture": "jumprelu"}, LoadError),
    ],
)
def test_a_hostile_configuration_is_refused(
    config: Any, error: type[InterpError], tmp_path: Path
) -> None:
    folder = written(tmp_path, weights("W_enc", "W_dec", "b_dec", "b_enc"), config)
    with pytest.raises(error):
        load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"W_enc": torch.zeros(6)},
        {"W_enc": torch.zeros(6, 12, dtype=torch.int64)},
        {"W_dec": torch.zeros(11, 6)},
        {"b_dec": torch.zeros(7)},
        {"b_enc": torch.zeros(())},
        {"b_enc": torch.zeros(1)},
        {"b_enc": torch.full((12,), torch.inf)},
        {"b_enc": None},
    ],
)
def test_hostile_weights_are_refused(changes: dict[str, Tensor | None], tmp_path: Path) -> None:
    tensors = {**weights("W_enc", "W_dec", "b_dec", "b_enc"), **changes}
    kept = {name: t for name, t in tensors.items() if t is not None}
    with pytest.raises(LoadError):
        load(written(tmp_path, kept, GOOD))


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_damaged_file_gives_our_error_or_a_sound_dictionary(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    save(random_coder(k=3), folder)
    path = folder / SAELENS
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(bytes(data))
    try:
        coder = load(folder)
    except InterpError:
        return
    weights = (coder.W_enc, coder.b_enc, coder.W_dec, coder.b_dec)
    assert all(weight.isfinite().all() for weight in weights)  # however large one has become


def test_pickles_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no dictionary"):
        load(tmp_path / "nowhere")
    (tmp_path / CONFIG).write_text(json.dumps(GOOD))
    with pytest.raises(LoadError, match="it is no dictionary"):
        load(tmp_path)
    (tmp_path / "sae.pt").write_bytes(b"x")
    with pytest.raises(LoadError, match="pickle"):
        load(tmp_path)
