"""Initial weights: the table, and nothing but the seed."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase

import pytest
import torch
from torch import Tensor

from interp.model.config import TransformerConfig
from interp.model.init import TABLE
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, EVERY, example


def drawn(cfg: TransformerConfig, seed: int = 0) -> dict[str, Tensor]:
    return dict(HookedTransformer(cfg, seed=seed).state_dict())


@EVERY
def test_the_seed_alone_decides(name: str) -> None:
    cfg = CONFIGURATIONS[name]
    torch.manual_seed(1)
    first = drawn(cfg)
    threads = torch.get_num_threads()
    torch.manual_seed(2)
    torch.rand(7)
    torch.set_num_threads(2)
    try:
        second = drawn(cfg)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(first[n], second[n]) for n in first)
    other = drawn(cfg, seed=1)
    for parameter, value in first.items():
        constant = not value.any() or bool((value == 1).all())
        assert torch.equal(other[parameter], value) == constant, parameter


def test_the_random_state_has_no_part_in_what_a_model_computes() -> None:
    cfg = CONFIGURATIONS["pair-t5"]
    torch.manual_seed(3)
    first = HookedTransformer(cfg)
    second = HookedTransformer(cfg)  # the second one of the process
    assert torch.equal(first.embed.weight, second.embed.weight)
    torch.manual_seed(3)
    inputs = example(cfg)
    assert torch.equal(first(**inputs), second(**inputs))


def test_other_layers_do_not_change_a_draw() -> None:
    """Apart from the writers to the stream, which shrink with the depth."""
    cfg = CONFIGURATIONS["decoder"]
    short, deep = drawn(cfg), drawn(cfg.replace(n_layers=5))
    for parameter, value in short.items():
        writes = parameter.endswith(("attn.out.weight", "mlp.down.weight"))
        factor = math.sqrt(5 / 3) if writes else 1.0
        assert torch.allclose(deep[parameter] * factor, value, rtol=1e-5), parameter
    narrow = drawn(cfg.replace(attn_only=True))
    assert all(torch.equal(narrow[n], short[n]) for n in narrow if "attn.out" not in n)


def test_two_parameters_never_have_the_same_draw() -> None:
    values = drawn(CONFIGURATIONS["pair-pre-norm"])
    seen: list[tuple[str, Tensor]] = []
    for name, value in values.items():
        if value.any() and not (value == 1).all():
            head = value.flatten()[:16]
            for other, before in seen:
                n = min(len(head), len(before))
                assert not torch.allclose(head[:n] / head.std(), before[:n] / before.std()), (
                    name,
                    other,
                )
            seen.append((name, head))


@pytest.mark.parametrize("name", ["decoder", "decoder-attn-only", "encoder-bert", "pair-t5"])
def test_the_table_is_what_is_drawn(name: str) -> None:
    cfg = CONFIGURATIONS[name].replace(d_model=128, d_mlp=256, d_vocab=500, initializer_range=0.05)
    layers = max(cfg.n_layers, cfg.n_decoder_layers)
    writers = 1 if cfg.attn_only else 2
    for parameter, value in drawn(cfg).items():
        if parameter.endswith(".bias"):
            assert not value.any(), parameter
        elif "ln" in parameter:
            assert (value == 1).all(), parameter
        else:
            writes = parameter.endswith(("attn.out.weight", "mlp.down.weight"))
            std = 0.05 / math.sqrt(writers * layers) if writes else 0.05
            error = std / math.sqrt(2 * value.numel())  # of an estimated deviation
            assert abs(float(value.std()) - std) < 5 * error, parameter
            assert abs(float(value.mean())) < 5 * std / math.sqrt(value.numel()), parameter


def test_the_table_has_no_dead_row() -> None:
    """Each pattern is the first match of some parameter."""
    used: set[str] = set()
    for cfg in CONFIGURATIONS.values():
        for parameter, _ in HookedTransformer(cfg).named_parameters():
            used.add(next(pattern for pattern, _ in TABLE if fnmatchcase(parameter, pattern)))
    assert used == {pattern for pattern, _ in TABLE}


def test_precision_rounds_the_same_draw() -> None:
    cfg = CONFIGURATIONS["decoder"]
    half, full = drawn(cfg.replace(dtype=torch.bfloat16)), drawn(cfg)
    assert all(torch.equal(half[n], full[n].bfloat16()) for n in full)


def test_tied_weights_are_one_parameter() -> None:
    model = HookedTransformer(CONFIGURATIONS["pair-t5"])
    assert model.unembed.weight is model.embed.weight
    assert "output.unembed.weight" not in dict(model.named_parameters())
