"""Adapters: nothing at first, the same model once merged, and only they are trained."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from interp.errors import ConfigError, LoadError
from interp.model.transformer import HookedTransformer
from interp.train.lora import LoRA, add_lora, load_adapter, merged, save_adapter
from tests.model.configurations import EACH_KIND, build, example, one_of_each

ALL = LoRA(rank=2, alpha=3.0, targets=("*",))


def adapted(name: str, lora: LoRA = ALL, *, stirred: bool = True) -> HookedTransformer:
    """A model with adapters that change it."""
    model = build(name)
    add_lora(model, lora)
    if stirred:
        stir(model)
    return model


def stir(model: HookedTransformer) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".B"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


@EACH_KIND
def test_new_adapters_change_nothing_and_merged_ones_change_no_more(name: str) -> None:
    plain, model = build(name), adapted(name, stirred=False)
    inputs = example(plain.cfg)
    torch.testing.assert_close(model(**inputs), plain(**inputs))
    stir(model)
    changed = model(**inputs)
    assert not torch.allclose(changed, plain(**inputs), atol=1e-2)
    whole = merged(model)
    assert set(dict(whole.named_parameters())) == set(dict(plain.named_parameters()))
    torch.testing.assert_close(whole(**inputs), changed)
    assert torch.equal(model(**inputs), changed)  # the one with adapters is left alone
    assert merged(whole) is whole


@EACH_KIND
def test_hook_points_and_views_mean_what_they_mean_in_the_merged_model(name: str) -> None:
    model = adapted(name)
    whole, inputs = merged(model), example(model.cfg)
    ours, theirs = model.run_with_cache(**inputs)[1], whole.run_with_cache(**inputs)[1]
    for point in one_of_each(model):
        torch.testing.assert_close(ours[point], theirs[point])
    for view in ("W_Q", "W_K", "W_V", "W_O", "b_Q"):
        torch.testing.assert_close(getattr(model, view), getattr(whole, view))


@EACH_KIND
def test_only_adapters_get_gradients(name: str) -> None:
    model = adapted(name, LoRA(rank=2, targets=("*attn.q", "*attn.v", "*mlp.up")))
    model(**example(model.cfg)).square().sum().backward()
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained and all(n.endswith((".A", ".B")) for n in trained)
    for name, parameter in model.named_parameters():
        moved = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert moved == (name in trained), name


def test_queries_and_values_alone_change_and_by_a_low_rank() -> None:
    model = adapted("decoder", LoRA(rank=2, targets=("blocks.1.attn.q", "blocks.1.attn.v")))
    whole, plain = merged(model), build("decoder")
    for name, weight in plain.named_parameters():
        change = whole.get_parameter(name) - weight
        if name != "blocks.1.attn.qkv.weight":
            assert not change.any(), name
            continue
        q, k, v = change.split(32)
        assert not k.any()
        for part in (q, v):
            assert torch.linalg.matrix_rank(part, rtol=1e-4) == 2


def test_the_change_is_scaled_by_alpha_over_rank() -> None:
    models = [
        adapted("decoder", LoRA(rank=2, alpha=alpha, targets=("*mlp.up",))) for alpha in (2.0, 6.0)
    ]
    plain = build("decoder").blocks[0].mlp.up.weight
    one, three = (merged(model).blocks[0].mlp.up.weight - plain for model in models)
    torch.testing.assert_close(three, 3 * one, atol=1e-6, rtol=1e-4)


def test_a_table_of_embeddings_that_is_also_the_unembedding_gets_no_adapter() -> None:
    model = adapted("pair-original")
    assert model.unembed.weight is model.embed.weight
    with pytest.raises(ConfigError, match="in no place"):
        add_lora(build("pair-original"), LoRA(targets=("output.unembed",)))


def test_a_trained_head_is_trained_as_it_is(tmp_path: Path) -> None:
    lora = LoRA(rank=2, targets=("*",), trained=("output.*",))
    model = build("decoder", head="classification", n_classes=3)
    add_lora(model, lora)
    stir(model)
    assert model.output.classifier is not None
    assert type(model.output.classifier) is torch.nn.Linear
    assert model.output.classifier.weight.requires_grad
    with torch.no_grad():
        model.output.classifier.weight += 1
    save_adapter(model, lora, tmp_path / "a")
    again = build("decoder", head="classification", n_classes=3)
    assert load_adapter(again, tmp_path / "a") == lora
    inputs = example(model.cfg)
    assert torch.equal(again(**inputs), model(**inputs))


def test_saved_adapters_are_small_and_come_back(tmp_path: Path) -> None:
    lora = LoRA(rank=1, targets=("*attn.q",))
    model = adapted("encoder-bert", lora)
    save_adapter(model, lora, tmp_path / "a")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "adapter.json",
        "adapter.safetensors",
    ]
    again = build("encoder-bert")
    load_adapter(again, tmp_path / "a")
    inputs = example(model.cfg)
    assert torch.equal(again(**inputs), model(**inputs))


def test_adapters_on_other_weights_or_damaged_are_refused_and_change_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a"
    save_adapter(adapted("decoder"), ALL, folder)
    with pytest.raises(LoadError, match="other weights"):
        load_adapter(build("decoder", seed=1), folder)
    about = json.loads((folder / "adapter.json").read_text())
    about["lora"]["rank"] = 3
    (folder / "adapter.json").write_text(json.dumps(about))
    model, plain = build("decoder"), build("decoder")
    with pytest.raises(LoadError, match="not those of its"):
        load_adapter(model, folder)
    assert all(p.requires_grad for p in model.parameters())
    assert state(model).keys() == state(plain).keys()
    assert all(torch.equal(value, state(plain)[n]) for n, value in state(model).items())
    (folder / "adapter.safetensors").write_bytes(b"\x80\x04 no")
    with pytest.raises(LoadError, match="no adapter"):
        load_adapter(model, folder)
    with pytest.raises(LoadError, match="no adapter"):
        load_adapter(model, tmp_path / "nothing")


def state(model: HookedTransformer) -> dict[str, Tensor]:
    return dict(model.state_dict())


def test_a_model_has_one_set_of_adapters_and_patterns_must_name_something() -> None:
    model = adapted("decoder")
    with pytest.raises(ConfigError, match="adapters already"):
        add_lora(model, ALL)
    plain = build("decoder")
    with pytest.raises(ConfigError, match=r"'\*query' is the name of a linear map in no place"):
        add_lora(plain, LoRA(targets=("*query",)))
    with pytest.raises(ConfigError, match="a parameter in no place"):
        add_lora(plain, LoRA(trained=("head",)))
    assert all(p.requires_grad for p in plain.parameters())
    with pytest.raises(ConfigError, match="rank 0"):
        LoRA(rank=0)


def test_a_copy_of_an_adapted_model_is_its_own() -> None:
    """The training loop computes on such copies."""
    model = adapted("decoder")
    twin, inputs = copy.deepcopy(model), example(model.cfg)
    assert torch.equal(twin(**inputs), model(**inputs))
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if name.endswith(".B"):
                parameter.zero_()
    assert torch.equal(twin(**inputs), build("decoder")(**inputs))
    assert not torch.equal(model(**inputs), twin(**inputs))
