"""TransformerLens's training loop trains our model as it trains its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.model.transformer_lens.models import CLEAN, N_VOCAB, bridge, close, ours

pytest.importorskip("transformer_lens")

from transformer_lens.tools import training

# Texts that count upwards: the next token is certain. A list, since iterating a map-style dataset
# that never raises IndexError does not end.
COUNTING: Any = [{"tokens": (torch.arange(8) + i) % N_VOCAB} for i in range(32)]


@torch.enable_grad()
def test_training(tmp_path: Path) -> None:
    config = training.TrainConfig(
        num_epochs=30,
        batch_size=8,
        lr=1e-2,
        max_grad_norm=1.0,
        warmup_steps=5,
        save_every=4,
        save_dir=str(tmp_path),
        device="cpu",
        print_every=None,
    )
    model = ours()
    tokens = torch.stack([row["tokens"] for row in COUNTING])
    before = model(tokens, return_type="loss").item()
    trained = training.train(model, config, COUNTING)
    assert trained is model and model.training
    assert model.eval()(tokens, return_type="loss").item() < 0.1 < before
    saved = torch.load(tmp_path / "model_0.pt", weights_only=True)
    assert saved.keys() == model.state_dict().keys()


@torch.enable_grad()
def test_training_is_that_of_the_bridge() -> None:
    """One step of the same loop on the same weights."""
    config = training.TrainConfig(
        num_epochs=1, batch_size=32, lr=0.1, optimizer_name="SGD", device="cpu", print_every=None
    )
    models = ours(), bridge()
    before = models[0](CLEAN)
    for model in models:
        training.train(model, config, COUNTING)
    after = models[0].eval()(CLEAN)
    close(after, models[1].eval()(CLEAN))
    assert (after - before).abs().max() > 0.1
