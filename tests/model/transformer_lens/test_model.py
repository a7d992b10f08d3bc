"""The model looks to TransformerLens like one of its own, and computes what its bridge computes."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from tests.model.configurations import CONFIGURATIONS, build, shared_model
from tests.model.transformer_lens.models import CLEAN, Pair, close

pytest.importorskip("transformer_lens")

from transformer_lens import model_protocol


@pytest.mark.parametrize(
    "protocol",
    ["TransformerLensModel", "TransformerLensModelWithWeights", "TrainableTransformerLensModel"],
)
def test_the_protocols(protocol: str) -> None:
    kind = getattr(model_protocol, protocol)
    model = shared_model("decoder")
    assert isinstance(model, kind)
    # Python 3.12 and later look members up in this way, in which submodules are invisible.
    members = [name for name in dir(kind) if not name.startswith("_")]
    assert all(inspect.getattr_static(model, name, None) is not None for name in members)


@pytest.mark.parametrize("pair", ["plain", "folded"])
def test_every_activation_is_the_bridges(pair: str, request: pytest.FixtureRequest) -> None:
    mine, theirs = request.getfixturevalue(pair)
    logits, cache = mine.run_with_cache(CLEAN)
    other_logits, other = theirs.run_with_cache(CLEAN)
    close(logits, other_logits)
    only_here = {f"blocks.{i}.hook_mlp_in" for i in range(2)}  # theirs waits for a switch
    for name in set(cache) - only_here:
        allowed = torch.isfinite(cache[name])  # masked scores are -inf, or in raw mode -3.4e38
        close(cache[name][allowed], other[name][allowed])


def test_folding_is_what_compatibility_mode_does(folded: Pair) -> None:
    mine, theirs = folded
    for name in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", "W_E", "W_U", "W_pos"):
        close(getattr(mine, name), getattr(theirs, name))
    for name in ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out", "b_U"):
        close(getattr(mine, name), getattr(theirs, name))


@pytest.mark.parametrize("pair", ["plain", "folded"])
def test_directions_and_biases(pair: str, request: pytest.FixtureRequest) -> None:
    mine, theirs = request.getfixturevalue(pair)
    tokens: list[Any] = ["w3", 3, torch.tensor(3), torch.tensor([3]), torch.tensor([[3]])]
    tokens += [torch.tensor([3, 5]), torch.tensor([[3, 5, 7], [1, 2, 4]])]
    for token in tokens:
        direction = theirs.tokens_to_residual_directions(token)
        assert mine.tokens_to_residual_directions(token).shape == direction.shape
        close(mine.tokens_to_residual_directions(token), direction)
    for layer in range(3):
        for with_mlps in (True, False):
            for mlp_input in (True, False) if layer < 2 else (False,):
                args = (layer, mlp_input, with_mlps)
                close(mine.accumulated_bias(*args), theirs.accumulated_bias(*args))


def test_every_decoder_has_what_the_tools_read() -> None:
    """The fields of a configuration and the members of a model that the tools ask for."""
    for name, cfg in CONFIGURATIONS.items():
        if cfg.shape == "decoder" and cfg.norm_position == "pre":
            assert isinstance(build(name), model_protocol.TransformerLensModelWithWeights)
            for field in ("n_layers", "n_heads", "n_key_value_heads", "d_mlp", "n_ctx", "device"):
                assert hasattr(cfg, field)
            assert cfg.normalization_type in ("LN", "RMS")
