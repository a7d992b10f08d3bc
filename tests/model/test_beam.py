"""Beam search against brute force, against greedy search, and against the transformers library."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from interp.errors import InputError
from interp.model.beam import beam_search
from interp.model.config import TransformerConfig
from interp.model.order import Order
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, build, example, shared_model
from tests.model.texts import byte_tokenizer

WRITERS = [name for name, cfg in CONFIGURATIONS.items() if cfg.head == "lm"]


class Peer(PreTrainedModel, GenerationMixin):
    """The transformers library's own search, run on the logits of one of our models.

    An encoder-decoder's source is held fixed, so that to the search it is a decoder whose prompt
    is the start token: transformers counts lengths from there too.
    """

    config_class = PretrainedConfig
    main_input_name = "input_ids"

    def __init__(self, model: HookedTransformer, source: Tensor | None = None):
        super().__init__(PretrainedConfig(vocab_size=model.cfg.d_vocab, num_hidden_layers=1))
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.source = source
        self.held = [model]  # in a list: no sub-module, so nothing is registered or moved

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> CausalLMOutput:
        model = self.held[0]
        if self.source is None:
            return CausalLMOutput(logits=model(input_ids, attention_mask=attention_mask))
        source = self.source.repeat_interleave(len(input_ids) // len(self.source), 0)
        return CausalLMOutput(logits=model(source, decoder_tokens=input_ids))


def peer_search(
    model: HookedTransformer, tokens: Tensor, mask: Tensor | None = None, **options: Any
) -> list[list[int]]:
    """What transformers writes, up to its padding (id 0)."""
    source = None
    if model.cfg.shape == "encoder_decoder":
        source = tokens
        tokens = torch.full((len(tokens), 1), model.cfg.decoder_start_token_id)
    mask = torch.ones_like(tokens) if mask is None else mask
    out = Peer(model, source).generate(
        tokens,
        attention_mask=mask,
        do_sample=False,
        early_stopping=False,
        use_cache=False,
        pad_token_id=0,
        **options,
    )
    return out[:, tokens.shape[1] :].tolist()


def search(
    model: HookedTransformer, tokens: Tensor, mask: Tensor | None = None, **options: Any
) -> list[list[int]]:
    """What our beam search writes, padded with 0 to the longest row."""
    decoder = model.cfg.shape == "decoder"
    out = model.generate(tokens, attention_mask=mask, **options)
    return out[:, tokens.shape[1] if decoder else 1 :].tolist()


def best_by_hand(
    model: HookedTransformer, prompt: Tensor, n: int, eos: int | None, length_penalty: float
) -> tuple[list[int], float]:
    """The best of all continuations of at most n tokens, each scored by a forward of its own."""
    best, best_score = [], -float("inf")
    for length in range(1, n + 1):
        for ids in itertools.product(range(model.cfg.d_vocab), repeat=length):
            ended = ids[-1] == eos
            if eos in ids[:-1] or not (ended or length == n):
                continue
            score = float(log_probability(model, prompt, ids)) / length**length_penalty
            if score > best_score:
                best, best_score = list(ids), score
    return best, best_score


def log_probability(model: HookedTransformer, prompt: Tensor, ids: Sequence[int]) -> Tensor:
    """Sum of the log-probabilities of a continuation of one row."""
    if model.cfg.shape == "encoder_decoder":
        whole = torch.tensor([[model.cfg.decoder_start_token_id, *ids]])
        logits = model(prompt, decoder_tokens=whole)
    else:
        whole = torch.cat([prompt, torch.tensor([ids])], 1)
        logits = model(whole)
    log_p = logits[0, :-1].log_softmax(-1)[-len(ids) :]
    return log_p.gather(1, torch.tensor(ids)[:, None]).sum()


@pytest.mark.parametrize("shape", ["decoder", "encoder_decoder"])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 2.5])
def test_with_a_beam_for_every_text_it_finds_the_best_of_all(
    shape: str, length_penalty: float
) -> None:
    lengths = set()
    for seed in range(9):
        eos = seed % 3
        cfg = TransformerConfig(8, 1, 2, d_vocab=3, n_ctx=8, initializer_range=0.5)
        changes = {"shape": shape, "decoder_start_token_id": 0, "n_decoder_layers": 1}
        model = build(cfg, seed=seed, **(changes if shape == "encoder_decoder" else {}))
        model.requires_grad_(False)
        prompt = torch.tensor([[0, 1]])
        best, _ = best_by_hand(model, prompt, 3, eos, length_penalty)
        found = search(
            model,
            prompt,
            max_new_tokens=3,
            num_beams=27,
            length_penalty=length_penalty,
            eos_token_id=eos,
        )
        assert found == [best]
        lengths.add(len(best))
    if 0.0 <= length_penalty <= 1.0:
        assert len(lengths) > 1, "all texts end at the same length: a weak test"


@pytest.mark.parametrize("name", WRITERS)
def test_writes_what_transformers_writes(name: str) -> None:
    model = shared_model(name)
    for seed in range(3):
        tokens = example(model.cfg, batch=3, seed=seed)["tokens"]
        options: dict[str, Any] = {
            "max_new_tokens": 8,
            "num_beams": 2 + seed,
            "length_penalty": (0.0, 1.0, 2.0)[seed],
            "eos_token_id": [2, 5, 11, 13, 17, 19],
        }
        ours, theirs = search(model, tokens, **options), peer_search(model, tokens, **options)
        for our_row, their_row in zip(ours, theirs, strict=True):
            assert up_to(options["eos_token_id"], our_row) == up_to(
                options["eos_token_id"], their_row
            )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 50),
    num_beams=st.integers(2, 6),
    length_penalty=st.sampled_from([-0.5, 0.0, 0.6, 1.0, 1.7]),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    eos=st.sets(st.integers(1, 28), min_size=0, max_size=5),
    n=st.integers(1, 9),
    cached=st.booleans(),
)
def test_agrees_with_transformers_whatever_the_options(
    seed: int,
    num_beams: int,
    length_penalty: float,
    repetition_penalty: float,
    eos: set[int],
    n: int,
    cached: bool,
) -> None:
    model = shared_model("decoder-llama")
    tokens = example(model.cfg, batch=3, pos=4, seed=seed)["tokens"]
    options: dict[str, Any] = {
        "max_new_tokens": n,
        "num_beams": num_beams,
        "length_penalty": length_penalty,
        "repetition_penalty": repetition_penalty,
    }
    theirs = peer_search(model, tokens, eos_token_id=sorted(eos) or None, **options)
    ours = search(model, tokens, eos_token_id=sorted(eos), use_past_kv_cache=cached, **options)
    for their_row, our_row in zip(theirs, ours, strict=True):
        assert up_to(eos, our_row) == up_to(eos, their_row)


def up_to(eos: Collection[int], row: list[int]) -> list[int]:
    """A row without the padding behind its end token."""
    end = next((i + 1 for i, token in enumerate(row) if token in eos), len(row))
    return row[:end]


@pytest.mark.parametrize("name", ["decoder", "decoder-alibi", "decoder-gemma", "decoder-relative"])
@pytest.mark.parametrize("cached", [True, False])
def test_a_row_of_a_padded_batch_gets_what_it_gets_alone(name: str, cached: bool) -> None:
    model = shared_model(name)
    tokens = example(model.cfg, batch=3, pos=6)["tokens"]
    mask = torch.ones_like(tokens)
    mask[0, :3] = mask[2, :5] = 0
    options: dict[str, Any] = {
        "max_new_tokens": 7,
        "num_beams": 4,
        "eos_token_id": [3, 9, 17],
        "use_past_kv_cache": cached,
    }
    together = search(model, tokens, mask, **options)
    for row, real, found in zip(tokens, mask.bool(), together, strict=True):
        alone = search(model, row[real][None], **options)[0]
        assert found[: len(alone)] == alone
        assert set(found[len(alone) :]) <= {3}  # padding


@pytest.mark.parametrize("name", WRITERS)
def test_cached_equals_uncached(name: str) -> None:
    model = shared_model(name)
    tokens = example(model.cfg, batch=2)["tokens"]
    options = {"max_new_tokens": 8, "num_beams": 3, "eos_token_id": 4}
    cached = search(model, tokens, **options)
    assert cached == search(model, tokens, use_past_kv_cache=False, **options)


@pytest.mark.parametrize("name", ["decoder", "pair-t5"])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 3.0])
def test_one_beam_is_greedy_search(name: str, length_penalty: float) -> None:
    """`generate` never searches with one beam; the search itself is asked."""
    model = shared_model(name)
    for seed in range(4):
        tokens = example(model.cfg, batch=3, seed=seed)["tokens"]
        eos = [2, 5, 8, 11, 14]
        order = Order.read(model, tokens, 8, eos_token_id=eos)
        found = beam_search(
            order.continuation(),
            1,
            length_penalty,
            order.room,
            torch.tensor(eos),
            order.sampling,
        )
        greedy = search(model, tokens, max_new_tokens=8, do_sample=False, eos_token_id=eos)
        for ours, row in zip(found.tokens, greedy, strict=True):
            assert row[: len(ours)] == ours
            assert len(ours) == len(row) or ours[-1] in eos


def test_the_score_is_the_sum_of_log_probabilities_over_a_power_of_the_length() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg, batch=2)["tokens"]
    order = Order.read(model, tokens, 6, eos_token_id=3)
    found = beam_search(order.continuation(), 4, 0.7, order.room, torch.tensor([3]), order.sampling)
    for prompt, ids, score in zip(tokens, found.tokens, found.scores, strict=True):
        expected = log_probability(model, prompt[None], ids) / len(ids) ** 0.7
        torch.testing.assert_close(score, expected, atol=1e-5, rtol=1e-5)


def test_more_beams_than_tokens_of_the_vocabulary() -> None:
    cfg = TransformerConfig(8, 1, 2, d_vocab=3, n_ctx=12, initializer_range=0.5)
    model = build(cfg).requires_grad_(False)
    prompt = torch.tensor([[0, 1]])
    best, _ = best_by_hand(model, prompt, 4, None, 1.0)
    assert search(model, prompt, max_new_tokens=4, num_beams=200) == [best]


def test_suppressed_tokens_are_never_written() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg)["tokens"]
    free = search(model, tokens, max_new_tokens=6, num_beams=3)
    used = sorted({token for row in free for token in row})
    found = search(model, tokens, max_new_tokens=6, num_beams=3, suppress_tokens=used)
    assert not set(used) & {token for row in found for token in row}


@pytest.fixture
def letters() -> HookedTransformer:
    """A model that reads and writes bytes."""
    tokenizer = byte_tokenizer()
    model = build("decoder", d_vocab=len(tokenizer), d_vocab_out=-1)
    model.tokenizer = tokenizer
    return model


# Bytes that are no lower-case letter: without them a text is as long as its tokens.
OTHERS = [i for i in range(259) if not ord("a") <= i <= ord("z")]


def test_a_stop_string_of_one_token_is_like_an_end_token(letters: HookedTransformer) -> None:
    prompt = torch.tensor([[98, 99], [100, 101]])
    options: dict[str, Any] = {"max_new_tokens": 8, "num_beams": 4, "suppress_tokens": OTHERS}
    end = search(letters, prompt, **options)[0][3]
    stopped = search(letters, prompt, stop=chr(end), stop_at_eos=False, **options)
    ended = search(letters, prompt, eos_token_id=end, **options)
    assert [up_to([end], row) for row in stopped] == [up_to([end], row) for row in ended]
    assert any(end in row for row in ended), "nothing stops: a weak test"


def test_a_stop_string_may_straddle_tokens(letters: HookedTransformer) -> None:
    prompt = torch.tensor([[98, 99]])
    options: dict[str, Any] = {
        "max_new_tokens": 8,
        "num_beams": 3,
        "suppress_tokens": OTHERS,
        "stop_at_eos": False,
        "length_penalty": 0.0,  # every step costs, so the text that stops stays the best
    }
    free = bytes(search(letters, prompt, **options)[0])
    stop = free[2:4].decode()
    stopped = bytes(search(letters, prompt, stop=stop, **options)[0])
    assert stopped == free[:4]
    written = letters.generate(prompt, stop=stop, return_type="str", **options)
    assert written == "bc" + free[:2].decode()


def test_beams_of_a_row_keep_their_own_source() -> None:
    model = shared_model("pair-pre-norm")
    tokens = example(model.cfg, batch=3, pos=5)["tokens"]
    mask = torch.ones_like(tokens)
    mask[1, 3:] = 0
    options: dict[str, Any] = {"max_new_tokens": 6, "num_beams": 3}
    together = search(model, tokens, mask, **options)
    alone = [
        search(model, row[real][None], **options)[0]
        for row, real in zip(tokens, mask.bool(), strict=True)
    ]
    assert together == alone
    assert len({tuple(row) for row in alone}) > 1, "the sources make no difference: a weak test"


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 0},
        {"num_beams": 1.5},
        {"num_beams": 2, "temperature": 0.7},
        {"num_beams": 2, "top_k": 3},
        {"num_beams": 2, "top_p": 0.5},
        {"num_beams": 2, "length_penalty": "long"},
    ],
)
def test_refuses(options: dict[str, Any]) -> None:
    model = shared_model("decoder")
    with pytest.raises(InputError):
        model.generate(torch.tensor([[1, 2]]), 3, **options)


def test_the_context_ends_each_row_by_its_own_length() -> None:
    model = shared_model("decoder")
    n_ctx = model.cfg.n_ctx
    tokens = example(model.cfg, batch=2, pos=n_ctx - 2)["tokens"]
    mask = torch.ones_like(tokens)
    mask[1, :3] = 0
    together = search(model, tokens, mask, max_new_tokens=9, num_beams=3)
    for row, real, found in zip(tokens, mask.bool(), together, strict=True):
        alone = search(model, row[real][None], max_new_tokens=9, num_beams=3)[0]
        assert len(alone) == n_ctx - int(real.sum())
        assert found[: len(alone)] == alone
