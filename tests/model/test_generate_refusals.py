"""What generation refuses: options, prompts, models, and logits that are no logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp.errors import InputError, InterpError, UnsupportedModelError
from tests.model.configurations import build, shared_model
from tests.model.writers import EACH_WAY, WAYS, ending, source


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"max_new_tokens": -1}, "max_new_tokens"),
        ({"max_new_tokens": 2.0}, "max_new_tokens"),
        ({"seed": "x"}, "seed"),
        ({"eos_token_id": 29}, "eos_token_id"),
        ({"eos_token_id": [3, -1]}, "eos_token_id"),
        ({"suppress_tokens": [99]}, "suppress_tokens"),
        ({"suppress_tokens": range(29)}, "whole vocabulary"),
        ({"stop": "x"}, "tokenizer"),
        ({"return_type": "logits"}, "return_type"),
        ({"return_type": "str"}, "tokenizer"),
        ({"padding_side": "top"}, "padding_side"),
        ({"attention_mask": torch.ones(1, 3)}, "attention mask"),
    ],
)
def test_refuses_bad_options(options: dict[str, Any], message: str) -> None:
    model = shared_model("decoder")
    with pytest.raises(InputError, match=message):
        model.generate(source(model), **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(1, 0, dtype=torch.long), "empty"),
        (torch.tensor([[99]]), "id 99"),
        (torch.zeros(1, 24, dtype=torch.long), "fills the model's context"),
        (torch.zeros(1, 25, dtype=torch.long), "context"),
        ("text", "tokenizer"),
        (3.5, "tokens"),
    ],
)
def test_refuses_bad_prompts(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        shared_model("decoder").generate(given, 3)


@pytest.mark.parametrize(
    "name", ["encoder-bert", "decoder-classification", "decoder-token-classification"]
)
def test_refuses_models_that_do_not_write(name: str) -> None:
    model = shared_model(name)
    with pytest.raises(UnsupportedModelError, match="cannot write"):
        model.generate(torch.tensor([[1, 2]]))


def test_refuses_more_outputs_than_tokens() -> None:
    model = build("decoder", d_vocab_out=40)
    with pytest.raises(UnsupportedModelError, match="40 outputs"):
        model.generate(torch.tensor([[1, 2]]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@EACH_WAY
def test_logits_that_are_not_finite_are_an_error(bad: float, way: str) -> None:
    model = build("decoder", unembed_bias=True)
    assert model.output.unembed is not None and model.output.unembed.bias is not None
    with torch.no_grad():
        model.output.unembed.bias.fill_(bad)
    with pytest.raises(InterpError, match="not finite"):
        model.generate(source(model), 3, **WAYS[way])


def test_a_row_that_has_ended_may_break() -> None:
    """What is computed for it is thrown away, so it cannot stop the others."""
    model = shared_model("decoder-rotary")
    tokens = source(model, batch=6)
    free = model.generate(tokens, 6, do_sample=False)[:, 7:]
    end = ending(free)
    row, step = min((step, row) for row, step in enumerate(first(free, end)))[::-1]
    steps = iter(range(6))

    def break_it(resid: Tensor, hook: Any) -> Tensor:
        if next(steps) > step:
            resid[row] = torch.nan
        return resid

    with model.hooks([("resid_pre0", break_it)]):
        found = model.generate(tokens, 6, do_sample=False, eos_token_id=end)[:, 7:]
    assert found.shape[1] > step + 1, "all rows end together: a weak test"
    assert torch.equal(found, model.generate(tokens, 6, do_sample=False, eos_token_id=end)[:, 7:])


def first(written: Tensor, token: int) -> list[int]:
    """Where each row has the token first; behind its end if it has it nowhere."""
    return [row.index(token) if token in row else len(row) for row in written.tolist()]
