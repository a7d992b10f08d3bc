"""Which rule moves which parameter, Muon against torch's, and rates over a training."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import ConfigError
from interp.train import muon
from interp.train.muon import Muon, orthogonalized
from interp.train.optimizer import Optimizers
from interp.train.schedule import factor, is_checkpoint
from interp.train.settings import Settings
from tests.train.runs import settings, tiny


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    n=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_an_orthogonal_matrix_keeps_directions_and_loses_sizes(
    rows: int, columns: int, n: int, seed: int
) -> None:
    """Of a matrix that is well away from losing rank: singular values go to about 1."""
    random = torch.Generator().manual_seed(seed)
    small = min(rows, columns)
    u, _ = torch.linalg.qr(torch.randn(n, rows, small, generator=random))
    v, _ = torch.linalg.qr(torch.randn(n, columns, small, generator=random))
    sizes = torch.rand(n, small, generator=random) * 0.9 + 0.1
    found = orthogonalized(u @ torch.diag_embed(sizes) @ v.mT)
    inner = u.mT @ found @ v
    diagonal = inner.diagonal(dim1=-2, dim2=-1)
    assert ((diagonal > 0.6) & (diagonal < 1.3)).all()
    torch.testing.assert_close(inner, torch.diag_embed(diagonal), atol=1e-4, rtol=0)


def test_muon_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16, which is what torch's computes in."""
    monkeypatch.setattr(muon, "fastest_dtype", lambda device: torch.bfloat16)
    shapes = [(8, 8), (24, 8), (8, 16), (24, 8)]
    random = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=random) for shape in shapes]
    mine = [torch.nn.Parameter(x.clone()) for x in start]
    theirs = [torch.nn.Parameter(x.clone()) for x in start]
    one = Muon(mine, lr=0.1, momentum=0.9, weight_decay=0.2)
    other = torch.optim.Muon(
        theirs, lr=0.1, momentum=0.9, weight_decay=0.2, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(4):
        for a, b in zip(mine, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=random)
            b.grad = a.grad.clone()
        one.step()
        other.step()
    for a, b, first in zip(mine, theirs, start, strict=True):
        moved = (b - first).norm()
        assert (a - b).norm() < 0.02 * moved


def test_updates_have_the_size_of_adamw() -> None:
    parameter = torch.nn.Parameter(torch.zeros(48, 16))
    parameter.grad = torch.randn(48, 16, generator=torch.Generator().manual_seed(0))
    Muon([parameter], lr=1.0, momentum=0.0, weight_decay=0.0).step()
    assert 0.15 < parameter.detach().square().mean().sqrt() < 0.25


def test_every_parameter_has_one_rule() -> None:
    model = tiny(tie_word_embeddings=True)
    optimizers = Optimizers(model.named_parameters(), settings(optimizer="muon"))
    rules: dict[str, tuple[str, float]] = {}
    for optimizer in optimizers.all:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = optimizers.names[parameter]
                assert name not in rules
                rules[name] = (type(optimizer).__name__, group["weight_decay"])
    assert rules.keys() == {name for name, _ in model.named_parameters()}
    assert rules["blocks.0.attn.qkv.weight"] == ("Muon", 0.1)
    assert rules["blocks.1.mlp.down.weight"] == ("Muon", 0.1)
    for name in ("embed.weight", "input.positions.weight", "blocks.0.ln1.weight", "ln_final.bias"):
        assert rules[name] == ("AdamW", 0.0)
    untied = Optimizers(tiny().named_parameters(), settings()).all[0].param_groups
    assert [group["weight_decay"] for group in untied] == [0.1, 0.0]
    tables = Optimizers(tiny().named_parameters(), settings(decay_embeddings=True))
    (kept,) = (g["params"] for g in tables.all[0].param_groups if g["weight_decay"] == 0)
    assert kept and all(p.ndim == 1 for p in kept)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_first_state_is_the_one_that_a_step_begins_with(optimizer: str) -> None:
    """What a resumed training is read into is complete, name by name and shape by shape."""
    model = tiny()
    fresh = Optimizers(model.named_parameters(), settings(optimizer=optimizer)).state()
    used = Optimizers(model.named_parameters(), settings(optimizer=optimizer))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    used.step(0, 10)
    after = used.state()
    assert {k: (v.shape, v.dtype) for k, v in fresh.items()} == {
        k: (v.shape, v.dtype) for k, v in after.items()
    }
    assert all((value == 0).all() for value in fresh.values())


# -- rates -----------------------------------------------------------------------------------------

SCHEDULES = ("wsd", "cosine", "inverse_sqrt", "constant")


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(steps=st.integers(2, 500), warmup=st.integers(0, 50))
def test_rates_rise_then_fall_and_are_never_zero(schedule: str, steps: int, warmup: int) -> None:
    asked = Settings(steps=steps, schedule=schedule, warmup_steps=warmup)
    rates = [factor(asked, step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates[:-1]) and rates[-1] >= 0
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_schedules_are_their_formulas() -> None:
    asked = Settings(steps=1000, warmup_steps=100)
    at = {name: asked.replace(schedule=name) for name in SCHEDULES}
    assert factor(at["wsd"], 500, 1000) == 1.0
    assert factor(at["wsd"], 800, 1000) == pytest.approx(0.5)
    assert factor(at["wsd"], 999, 1000) == pytest.approx(1 / 400)
    assert factor(at["cosine"], 550, 1000) == pytest.approx(0.5)
    assert factor(at["cosine"].replace(final_share=0.1), 1000, 1000) == pytest.approx(0.1)
    assert factor(at["inverse_sqrt"], 403, 1000) == pytest.approx(math.sqrt(101 / 404))
    assert factor(at["constant"], 999, 1000) == 1.0
    assert factor(asked, 0, None) == pytest.approx(1 / 101)  # the first step is none for nothing


def test_checkpoints_lie_where_those_of_pythia_do() -> None:
    def steps(total: int | None, **changes: object) -> list[int]:
        asked = Settings(steps=5000).replace(**changes)
        return [step for step in range((total or 3999) + 1) if is_checkpoint(asked, step, total)]

    early = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert steps(3500) == [*early, 1000, 2000, 3000, 3500]
    assert steps(3) == [0, 1, 2, 3]
    assert steps(None) == [*early, 1000, 2000, 3000]
    assert steps(25, early_checkpoints=False, checkpoint_every=10) == [0, 10, 20, 25]
    assert steps(3500, checkpoint_every=0) == []


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "either"),
        ({"steps": 1, "minutes": 1.0}, "either"),
        ({"minutes": 1.0, "schedule": "cosine"}, "cosine"),
        ({"steps": 1, "optimizer": "sgd"}, "optimizer"),
        ({"steps": 1, "parallel": "fsdp", "optimizer": "muon"}, "Muon"),
        ({"steps": 1, "stop_on": "loss"}, "evaluate_every"),
        ({"steps": 1, "ema": 1.0}, "ema"),
        ({"steps": -1}, "steps"),
        ({"steps": 1, "decay_share": 0.0}, "decay_share"),
    ],
    ids=str,
)
def test_contradictory_settings_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Settings(**wrong)


def test_settings_survive_json() -> None:
    asked = Settings(steps=5, betas=(0.8, 0.9), ema=0.5)
    assert Settings.from_dict(asked.to_dict()) == asked
    with pytest.raises(ConfigError, match="no setting lr"):
        Settings.from_dict({"steps": 1, "lr": 0.1})
