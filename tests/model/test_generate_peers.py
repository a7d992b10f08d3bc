"""Beside the transformers library: its own models write the same tokens as ours made from them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MarianConfig,
    MarianMTModel,
    T5Config,
    T5ForConditionalGeneration,
)

from interp.pretrained.loading import load

N_VOCAB, PAD, EOS = 40, 0, 7


def peer(family: str, seed: int) -> Any:
    """A tiny random model of the library, with weights large enough for its choices to vary."""
    torch.manual_seed(seed)
    ids = {"vocab_size": N_VOCAB, "pad_token_id": PAD, "eos_token_id": EOS}
    if family == "gpt2":
        cfg = GPT2Config(
            **ids, n_embd=16, n_layer=2, n_head=2, n_positions=64, initializer_range=0.4
        )
        return GPT2LMHeadModel(cfg).eval()
    if family == "t5":
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 20, "num_layers": 2, "num_heads": 2}
        t5 = T5Config(**ids, **sizes, decoder_start_token_id=PAD, initializer_factor=5.0)
        return T5ForConditionalGeneration(t5).eval()
    sizes = {f"{side}_layers": 2 for side in ("encoder", "decoder")}
    sizes |= {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    sizes |= {f"{side}_ffn_dim": 20 for side in ("encoder", "decoder")}
    marian = MarianConfig(
        **ids,
        **sizes,
        d_model=16,
        max_position_embeddings=64,
        init_std=0.4,
        decoder_start_token_id=PAD,
        forced_eos_token_id=None,
    )
    model = MarianMTModel(marian).eval()
    model.generation_config.forced_eos_token_id = None
    # As every released model has it: here padding would be written, if it were not forbidden.
    model.generation_config.bad_words_ids = [[PAD]]
    model.final_logits_bias[0, PAD] = 4.0
    return model


def up_to_the_end(row: list[int]) -> list[int]:
    return row[: row.index(EOS) + 1] if EOS in row else row


@pytest.mark.parametrize("family", ["gpt2", "t5", "marian"])
@pytest.mark.parametrize("num_beams", [1, 2, 4])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_writes_the_same_tokens(family: str, num_beams: int, length_penalty: float) -> None:
    for seed in range(3):
        theirs = peer(family, seed)
        ours = load(theirs)
        source = torch.randint(1, N_VOCAB, (3, 6))
        mask = torch.ones_like(source)
        mask[1, slice(0, 3) if family == "gpt2" else slice(3, 6)] = 0
        options: dict[str, Any] = {
            "attention_mask": mask,
            "max_new_tokens": 8,
            "do_sample": False,
            "num_beams": num_beams,
            "length_penalty": length_penalty,
        }
        start = 6 if family == "gpt2" else 1
        expected = theirs.generate(source, early_stopping=False, **options)[:, start:]
        found = ours.generate(source, **options)[:, start:]
        for our_row, their_row in zip(found.tolist(), expected.tolist(), strict=True):
            assert up_to_the_end(our_row) == up_to_the_end(their_row)
            assert family != "marian" or PAD not in up_to_the_end(our_row)


def test_padding_would_be_written_by_a_marian_model_that_may() -> None:
    """So the test above says something; and the ban survives the way there and back."""
    ours = load(peer("marian", 0))
    source = torch.randint(1, N_VOCAB, (3, 6))
    options: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False}
    written = ours.generate(source, **options)
    theirs = ours.to_hf()
    theirs.generation_config.forced_eos_token_id = None
    for our_row, their_row in zip(written, theirs.generate(source, **options), strict=True):
        assert up_to_the_end(our_row[1:].tolist()) == up_to_the_end(their_row[1:].tolist())
    ours.cfg = ours.cfg.replace(suppress_tokens=())
    assert (ours.generate(source, **options)[:, 1:] == PAD).any()
