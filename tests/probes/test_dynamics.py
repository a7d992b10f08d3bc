"""A planted jump of a training shows in its loss, and each shape of model can be followed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from interp.errors import InputError
from interp.figures.dynamics import dynamics_chart
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained.folder import save_folder
from probes.dynamics import dynamics, moment
from probes.frames import tidy
from probes.passages import repeats
from probes.subjects import subjects
from tests.figures.spec import drawn

QUICK = {"chains": 2, "burn_in": 2, "draws": 6}


def tiny(**changes: object) -> HookedTransformer:
    cfg = TransformerConfig(d_model=16, n_layers=1, n_heads=2, d_vocab=24, n_ctx=32)
    return HookedTransformer(cfg.replace(**changes)).eval()


def test_a_planted_jump_is_found_between_its_checkpoints(tmp_path: Path) -> None:
    """Ten checkpoints that say nothing, then ten that are sure of the wrong."""
    for i in range(20):
        model = tiny()
        with torch.no_grad():
            model.embed.weight.add_(0.01 * torch.randn(24, 16))
            if i >= 10:
                model.W_U.mul_(60)
        save_folder(model, tmp_path / "run" / "checkpoints" / f"step-{100 * i:08}")
    frame = dynamics(subjects(tmp_path / "run"), lambda m: repeats(m, rows=8, length=20), **QUICK)
    jumps = frame[(frame["metric"] == "change_point") & (frame["of"] == "loss")]
    assert list(jumps["step"]) == [1000] and list(jumps["step_before"]) == [900]
    assert float(jumps["value"].iloc[0]) <= 0.05
    assert set(frame["metric"]) >= {"loss", "llc", "noise_scale", "change_point"}
    for scheme in ("light", "dark"):
        figure = dynamics_chart(frame, scheme=scheme)
        assert "jump between 900 and 1,000" in figure.alt and "<svg" in drawn(figure.chart)


def test_what_is_measured_changes_nothing_and_repeats() -> None:
    model = tiny()
    before = [p.clone() for p in model.parameters()]
    examples = repeats(model, rows=8, length=20)
    one, again = (moment(model, examples, **QUICK) for _ in range(2))
    pd.testing.assert_frame_equal(one, again)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    loss = float(one.loc[one["metric"] == "loss", "value"].iloc[0])
    assert loss == pytest.approx(np.log(24), rel=0.05)


def test_an_encoder_decoder_is_followed_too() -> None:
    model = tiny(shape="encoder_decoder", decoder_start_token_id=0, eos_token_id=1)
    frame = moment(model, repeats(model, rows=8, length=20), **QUICK)
    assert set(frame["metric"]) == {"loss", "llc", "noise_scale"}


def test_without_steps_or_without_predictions_there_is_nothing() -> None:
    encoder = tiny(shape="encoder", head="mlm")
    with pytest.raises(InputError, match="predicted"):
        moment(encoder, repeats(encoder, rows=4, length=16), **QUICK)
    frame = tidy([{"metric": "loss", "value": 1.0}], run="x", step=pd.NA)
    with pytest.raises(InputError, match="no steps"):
        dynamics_chart(frame)
