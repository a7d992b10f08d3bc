"""Generation: the laws of the whole, on every model that can write."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats

from interp.model.continuation import Continuation, Prompt
from interp.model.inputs import read_inputs
from interp.model.tap import NO_TAP, Record
from tests.model.configurations import build, shared_model
from tests.model.writers import EACH_WAY, EACH_WRITER, PAIRS, WAYS, by_hand, ending, source

# -- cached, uncached and by hand ----------------------------------------------------------------


@EACH_WRITER
def test_greedy_is_the_most_likely_token_of_each_forward(name: str) -> None:
    model = shared_model(name)
    tokens = source(model)
    expected = by_hand(model, tokens, 12)
    assert torch.equal(model.generate(tokens, 12, do_sample=False), expected)
    assert torch.equal(
        model.generate(tokens, 12, do_sample=False, use_past_kv_cache=False), expected
    )


@EACH_WRITER
@EACH_WAY
def test_cached_equals_uncached(name: str, way: str) -> None:
    model = shared_model(name)
    tokens = source(model, batch=3)
    cached = model.generate(tokens, 8, eos_token_id=3, **WAYS[way])
    uncached = model.generate(tokens, 8, eos_token_id=3, use_past_kv_cache=False, **WAYS[way])
    assert torch.equal(cached, uncached)


@EACH_WRITER
def test_logits_of_each_step_are_those_of_one_forward(name: str) -> None:
    model = shared_model(name)
    tokens, n = source(model), 6
    written = model.generate(tokens, n, do_sample=False)
    prompt = Prompt.of(model, read_inputs(model, tokens))
    continuation = Continuation(model, prompt, n, NO_TAP, use_cache=True)
    found = [continuation.start()]
    found += [
        continuation.step(written[:, i]) for i in range(written.shape[1] - n, written.shape[1] - 1)
    ]
    pair = model.cfg.shape == "encoder_decoder"
    whole = model(tokens, decoder_tokens=written) if pair else model(written)
    torch.testing.assert_close(torch.stack(found, 1), whole[:, -n - 1 : -1], atol=1e-5, rtol=1e-5)


# -- batches -------------------------------------------------------------------------------------


@EACH_WRITER
@pytest.mark.parametrize(("cached", "side"), [(True, "right"), (False, "left")])
def test_a_row_of_a_padded_batch_gets_what_it_gets_alone(
    name: str, cached: bool, side: str
) -> None:
    model = shared_model(name)
    tokens = source(model, batch=4)
    lengths = [3, 7, 1, 5]
    mask = torch.zeros_like(tokens)
    for row, length in zip(mask, lengths, strict=True):
        row[slice(0, length) if side == "right" else slice(7 - length, 7)] = 1
    options: dict[str, Any] = {
        "do_sample": False,
        "use_past_kv_cache": cached,
        "eos_token_id": [3, 5],
    }
    together = model.generate(tokens, 9, attention_mask=mask, padding_side="right", **options)
    for row, real, found in zip(tokens, mask.bool(), together, strict=True):
        alone = model.generate(row[real], 9, **options)[0]
        assert found[: len(alone)].tolist() == alone.tolist()
        assert set(found[len(alone) :].tolist()) <= {3}, "padding: no other token is known"


def test_left_padding_lines_the_prompts_up_at_their_ends() -> None:
    model = shared_model("decoder")
    tokens = source(model)
    mask = torch.ones_like(tokens)
    mask[0, 4:] = 0
    left = model.generate(tokens, 3, attention_mask=mask, do_sample=False)
    right = model.generate(tokens, 3, attention_mask=mask, do_sample=False, padding_side="right")
    assert left.shape == right.shape == (2, 10)
    assert left[0, 3:7].tolist() == right[0, :4].tolist() == tokens[0, :4].tolist()
    assert left[0, 7:].tolist() == right[0, 4:7].tolist()
    assert torch.equal(left[1], right[1])


@pytest.mark.parametrize("name", ["decoder", "decoder-gemma", "pair-t5"])
def test_rows_that_have_ended_are_filled_and_disturb_nobody(name: str) -> None:
    model = shared_model(name)
    tokens = source(model, batch=6)
    free = model.generate(tokens, 9, do_sample=False)
    start = free.shape[1] - 9
    end = ending(free[:, start:])
    found = model.generate(tokens, 9, do_sample=False, eos_token_id=end)
    ended = set()
    for ours, row in zip(found[:, start:].tolist(), free[:, start:].tolist(), strict=True):
        n = row.index(end) + 1 if end in row else len(row)
        assert ours[:n] == row[:n]
        assert set(ours[n:]) <= {end}
        ended.add(n)
    assert len(ended) > 1, "all rows end together: a weak test"


@pytest.mark.parametrize("name", ["decoder", "decoder-rotary", "decoder-alibi", "pair-original"])
@pytest.mark.parametrize("cached", [True, False])
def test_the_context_ends_each_row_by_its_own_length(name: str, cached: bool) -> None:
    model = shared_model(name)
    n_ctx = model.cfg.n_ctx
    tokens = source(model, pos=n_ctx - 4)
    mask = torch.ones_like(tokens)
    mask[1, :9] = 0
    options: dict[str, Any] = {"do_sample": False, "use_past_kv_cache": cached}
    found = model.generate(tokens, 99, attention_mask=mask, padding_side="right", **options)
    assert found.shape == (2, n_ctx)
    assert torch.equal(found[1:], model.generate(tokens[1:, 9:], 99, **options))
    assert torch.equal(found[:1], model.generate(tokens[:1], 99, **options))
    model(tokens, decoder_tokens=found) if name in PAIRS else model(found)  # can be read again


# -- the seed ------------------------------------------------------------------------------------


@EACH_WRITER
def test_the_seed_decides(name: str) -> None:
    model = shared_model(name)
    tokens = source(model)
    first = model.generate(tokens, 9, seed=4)
    torch.manual_seed(1)
    assert torch.equal(model.generate(tokens, 9, seed=4), first)
    others = [model.generate(tokens, 9, seed=seed) for seed in range(5, 9)]
    assert any(not torch.equal(other, first) for other in others)


def test_draws_of_a_row_depend_on_no_other_row_and_not_on_the_length() -> None:
    model = shared_model("decoder-rotary")
    tokens = source(model, batch=4)
    together = model.generate(tokens, 9, seed=2)
    others = tokens.clone()
    others[[0, 1, 3]] = source(model, batch=3, seed=5)
    assert torch.equal(model.generate(others, 9, seed=2)[2], together[2])
    assert torch.equal(model.generate(tokens[:3], 9, seed=2), together[:3])
    assert torch.equal(model.generate(tokens, 4, seed=2), together[:, :11])


def test_equal_prompts_are_continued_differently() -> None:
    model = shared_model("decoder-no-norm-bias")
    found = model.generate(source(model, batch=1).expand(8, -1), 9, seed=0, temperature=2.0)
    assert len({tuple(row) for row in found.tolist()}) == 8


@pytest.mark.parametrize("way", [{"temperature": 0}, {"top_k": 1}, {"top_p": 1e-9}])
@EACH_WRITER
def test_ways_to_be_greedy(name: str, way: dict[str, Any]) -> None:
    model = shared_model(name)
    tokens = source(model)
    greedy = model.generate(tokens, 9, do_sample=False)
    assert torch.equal(model.generate(tokens, 9, **way), greedy)


def test_first_tokens_are_drawn_from_the_softmax() -> None:
    model = shared_model("decoder")
    prompt = source(model, batch=1)
    n = 4000
    first = model.generate(prompt.expand(n, -1), 1, seed=0)[:, -1]
    probability = model(prompt)[0, -1].double().softmax(-1)
    often = probability * n >= 5
    counts = torch.bincount(first, minlength=model.cfg.d_vocab).double()
    assert often.sum() > 5, "hardly any choice: a weak test"
    observed = torch.cat([counts[often], counts[~often].sum()[None]])
    expected = torch.cat([probability[often], probability[~often].sum()[None]]) * n
    likely = expected > 0
    assert stats.chisquare(observed[likely], expected[likely]).pvalue > 1e-3


def test_penalties_count_the_prompt_but_no_padding() -> None:
    model = shared_model("decoder")
    tokens = source(model)
    mask = torch.ones_like(tokens)
    mask[0, :3] = 0
    options: dict[str, Any] = {"do_sample": False, "freq_penalty": 50.0}
    found = model.generate(tokens, 9, attention_mask=mask, padding_side="right", **options)
    for row, real in zip(found.tolist(), mask.sum(1).tolist(), strict=True):
        new = row[real : real + 9]
        assert len(set(new)) == 9, "a token was written twice"
        assert not set(new) & set(row[:real]), "a token of the prompt was written"
    alone = model.generate(tokens[0, 3:], 9, **options)
    assert torch.equal(alone[0], found[0, : alone.shape[1]])


def test_suppressed_tokens_are_never_drawn() -> None:
    model = shared_model("decoder")
    banned = list(range(25))
    found = model.generate(source(model), 12, seed=0, suppress_tokens=banned)
    other = build("decoder", suppress_tokens=banned[1:])
    assert torch.equal(found, other.generate(source(model), 12, seed=0, suppress_tokens=banned[:1]))
    assert (found[:, 7:] >= 25).all()


# -- the model is left as it was -----------------------------------------------------------------


def test_dropout_is_off_and_modes_stay() -> None:
    model = build("decoder", dropout=0.5)
    tokens = source(model)
    expected = model.generate(tokens, 9, do_sample=False)
    model.train()
    model.blocks[1].eval()
    modes = [module.training for module in model.modules()]
    assert torch.equal(model.generate(tokens, 9, do_sample=False), expected)
    assert [module.training for module in model.modules()] == modes
    stream = model.generate_stream(tokens, 9, do_sample=False)
    next(stream)
    assert [module.training for module in model.modules()] == modes, "between two pieces"
    with pytest.raises(ZeroDivisionError), model.hooks([("z0", lambda z, hook: 1 / 0)]):
        model.generate(tokens, 2)
    assert [module.training for module in model.modules()] == modes, "after an error"


def test_no_gradient_is_kept() -> None:
    model = build("decoder")
    tap = Record(["blocks.1.hook_resid_post"], on_path=True)
    model.generate(source(model), 3, tap=tap)
    assert not any(value.requires_grad for value in tap.values.values())
    assert torch.is_grad_enabled()
    next(model.generate_stream(source(model), 3))
    assert torch.is_grad_enabled(), "inside a stream"


@pytest.mark.slow
def test_a_compiled_model_writes_the_same() -> None:
    model = build("decoder")
    tokens = source(model)
    expected = model.generate(tokens, 5, do_sample=False)
    compiled = torch.compile(model, backend="eager")
    before = compiled(tokens)
    assert torch.equal(compiled.generate(tokens, 5, do_sample=False), expected)
    torch.testing.assert_close(compiled(tokens), before)


def test_no_tokens_at_all() -> None:
    model = shared_model("decoder")
    tokens = source(model)
    for way in WAYS.values():
        assert torch.equal(model.generate(tokens, 0, **way), tokens)
    assert list(model.generate_stream(tokens, 0)) == []


def test_shows_progress_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    model = shared_model("decoder")
    for options in ({"do_sample": False}, {"num_beams": 2}):
        model.generate(source(model), 3, **options)
        assert capsys.readouterr().err == ""
        model.generate(source(model), 3, verbose=True, **options)
        assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@EACH_WAY
def test_other_precisions(dtype: torch.dtype, way: str) -> None:
    model = shared_model("decoder-llama", dtype)
    found = model.generate(source(model), 6, **WAYS[way])
    assert found.shape == (2, 13)
    if dtype == torch.float64:
        assert torch.equal(
            found, shared_model("decoder-llama").generate(source(model), 6, **WAYS[way])
        )
