"""Folders of our own: what is written comes back, and what is not whole is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from interp import LoadError, TransformerConfig
from interp.pretrained import folder as folders
from interp.pretrained import load_folder, save_folder
from interp.tokenizer import Tokenizer
from tests.model.configurations import CONFIGURATIONS, EVERY, build, example


def tokenizer() -> Tokenizer:
    import tokenizers

    words = {word: i for i, word in enumerate(["<pad>", "<bos>", "<unk>", "a", "b", "c"])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return Tokenizer(backend, {"bos": "<bos>", "pad": "<pad>"})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = build("decoder-llama")
    model.tokenizer = tokenizer()
    save_folder(model, tmp_path / "model")
    return tmp_path / "model"


@EVERY
def test_what_is_written_comes_back(name: str, tmp_path: Path) -> None:
    model = build(name)
    save_folder(model, tmp_path / "m")
    again = load_folder(tmp_path / "m")
    assert again.cfg == model.cfg
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
    # Rotary frequencies, sines and slopes are in no file, and are made anew.
    buffers = dict(again.named_buffers())
    for key, buffer in model.named_buffers():
        assert torch.equal(buffers[key], buffer)
    inputs = example(model.cfg)
    assert torch.equal(again(**inputs), model(**inputs))
    assert not again.training
    assert all(parameter.requires_grad for parameter in again.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_precisions_come_back(dtype: torch.dtype, tmp_path: Path) -> None:
    model = build("decoder", dtype=dtype)
    save_folder(model, tmp_path / "m")
    again = load_folder(tmp_path / "m")
    assert again.cfg.dtype == dtype
    assert torch.equal(again.embed.weight, model.embed.weight)
    assert load_folder(tmp_path / "m", dtype=torch.float32).embed.weight.dtype == torch.float32


def test_rounded_weights_are_stored_short(tmp_path: Path) -> None:
    model = build("decoder")
    save_folder(model, tmp_path / "long")
    model.load_state_dict({k: v.bfloat16() for k, v in model.state_dict().items()})
    save_folder(model, tmp_path / "short")
    sizes = [(tmp_path / x / "model.safetensors").stat().st_size for x in ("long", "short")]
    assert sizes[1] < 0.6 * sizes[0]
    again = load_folder(tmp_path / "short")
    assert again.cfg.dtype == torch.float32
    assert torch.equal(again.embed.weight, model.embed.weight)


def test_a_shared_table_is_stored_once_and_stays_shared(tmp_path: Path) -> None:
    model = build("decoder-tied-scaled")
    save_folder(model, tmp_path / "m")
    again = load_folder(tmp_path / "m")
    assert again.unembed.weight is again.embed.weight
    assert len(list(again.parameters())) == len(list(model.parameters()))


def test_the_tokenizer_goes_along(saved: Path) -> None:
    model = load_folder(saved)
    assert model.to_tokens("a b a").tolist() == [[1, 3, 4, 3]]
    assert load_folder(saved, tokenizer=False).tokenizer is None
    save_folder(build("decoder-llama"), saved)  # without one, the old one must not stay
    assert load_folder(saved).tokenizer is None


def test_other_files_stay_and_nothing_is_left_beside(saved: Path) -> None:
    (saved / "README.md").write_text("card")
    other = build("decoder-llama", seed=1)
    save_folder(other, saved)
    assert (saved / "README.md").read_text() == "card"
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert torch.equal(load_folder(saved).embed.weight, other.embed.weight)


def test_a_save_that_fails_leaves_the_old_model(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_folder(saved).embed.weight

    def fail(*args: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(folders, "_write_json", fail)
        for target in (saved, saved.parent / "new"):
            with pytest.raises(OSError, match="no space"):
                save_folder(build("decoder-llama", seed=1), target)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert torch.equal(load_folder(saved).embed.weight, before)


def test_a_folder_without_its_last_file_is_incomplete(saved: Path) -> None:
    (saved / "metadata.json").unlink()
    with pytest.raises(LoadError, match="cut short"):
        interp.load(saved)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(LoadError, match=name):
        load_folder(saved)


def test_changed_weights_are_noticed(saved: Path) -> None:
    path = saved / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(LoadError, match="hash differs"):
        load_folder(saved)
    path.write_bytes(data[:-1])
    with pytest.raises(LoadError, match="truncated: the tensor"):
        load_folder(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"files": {"x": {}}}'])
def test_broken_metadata_is_refused(saved: Path, text: str) -> None:
    (saved / "metadata.json").write_text(text)
    with pytest.raises(LoadError, match=r"metadata\.json"):
        load_folder(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_mlp": 24}, r"blocks\.0\.mlp\.gate\.weight.*\[20, 16\].*\[24, 16\]"),
        ({"n_layers": 4}, r"lacks .*blocks\.3\."),
        ({"n_layers": 2}, r"has .*blocks\.2\..*knows nothing"),
        ({"d_modell": 2}, "d_modell"),
        ({"n_heads": 3}, "n_heads"),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    saved: Path, change: dict[str, int], message: str
) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(LoadError, match=message):
        load_folder(saved)


def test_every_field_of_the_configuration_survives() -> None:
    for cfg in CONFIGURATIONS.values():
        text = json.dumps(cfg.to_dict())
        assert TransformerConfig.from_dict(json.loads(text)) == cfg


def test_loading_draws_nothing(saved: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_folder(saved)
    assert torch.equal(torch.rand(3), expected)
