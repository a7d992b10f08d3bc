"""The laws of choosing a token, on the functions themselves."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from interp.errors import InputError
from interp.model.sampling import (
    Sampling,
    draw,
    keep_top_k,
    keep_top_p,
    penalize_frequency,
    penalize_repetition,
    temper,
    uniforms,
)

N_VOCAB = 11


@st.composite
def rows_of_logits(draw_: Any) -> Tensor:
    """[2, N_VOCAB], no two of a row equal."""
    values = st.integers(-4000, 4000)
    row = st.lists(values, min_size=N_VOCAB, max_size=N_VOCAB, unique=True)
    return torch.tensor([draw_(row), draw_(row)], dtype=torch.float64) / 400


def kept(logits: Tensor) -> Tensor:
    return logits > -torch.inf


@given(rows_of_logits(), st.integers(1, N_VOCAB + 2))
def test_top_k_keeps_the_k_largest_as_they_are(logits: Tensor, k: int) -> None:
    found = keep_top_k(logits, k)
    assert (kept(found).sum(-1) == min(k, N_VOCAB)).all()
    torch.testing.assert_close(found[kept(found)], logits[kept(found)], atol=0, rtol=0)
    torch.testing.assert_close(
        found, TopKLogitsWarper(min(k, N_VOCAB))(None, logits), atol=0, rtol=0
    )


@given(rows_of_logits(), st.floats(0.001, 1.0))
def test_top_p_keeps_the_smallest_set_with_that_mass(logits: Tensor, p: float) -> None:
    found = keep_top_p(logits, p)
    probability = logits.softmax(-1)
    for row, mask, values in zip(probability, kept(found), logits, strict=True):
        mass = row[mask].sum()
        assert mass >= p - 1e-12, "the mass is there"
        assert mask.sum() == 1 or mass - row[mask].min() < p + 1e-12, "none of them is too many"
        assert mask.all() or values[mask].min() > values[~mask].max(), "they are the largest"
    torch.testing.assert_close(found[kept(found)], logits[kept(found)], atol=0, rtol=0)


@given(rows_of_logits(), st.floats(0.01, 0.99))
def test_top_p_keeps_what_transformers_keeps(logits: Tensor, p: float) -> None:
    ordered = logits.softmax(-1).sort(descending=True).values.cumsum(-1)
    assume(bool(((ordered - p).abs() > 1e-9).all()))  # on the edge rounding decides
    torch.testing.assert_close(
        keep_top_p(logits, p), TopPLogitsWarper(p)(None, logits), atol=0, rtol=0
    )


def test_top_p_of_one_keeps_everything_even_what_rounds_to_nothing() -> None:
    logits = torch.tensor([[0.0, -800.0, -1000.0]])
    assert kept(keep_top_p(logits, 1.0)).all()


@given(rows_of_logits(), st.floats(0.01, 100.0))
def test_temperature_divides(logits: Tensor, temperature: float) -> None:
    torch.testing.assert_close(
        temper(logits, temperature).softmax(-1),
        TemperatureLogitsWarper(temperature)(None, logits).softmax(-1),
    )


@given(rows_of_logits())
def test_limits_of_the_temperature(logits: Tensor) -> None:
    """Towards 0 only the largest is left, towards infinity all are equal; nothing overflows."""
    largest = torch.nn.functional.one_hot(logits.argmax(-1), N_VOCAB).double()
    for tiny in (1e-5, 1e-30, 1e-300, 5e-324):
        torch.testing.assert_close(temper(logits, tiny).softmax(-1), largest)
        chosen = Sampling(temperature=tiny).choose(logits.float(), None, torch.rand(2).double())
        assert torch.equal(chosen, logits.float().argmax(-1))
    for huge in (1e10, 1e300):
        even = torch.full_like(logits, 1 / N_VOCAB)
        torch.testing.assert_close(temper(logits, huge).softmax(-1), even)


@given(
    rows_of_logits(),
    st.floats(0.2, 5.0),
    st.lists(st.integers(0, N_VOCAB - 1), min_size=2, max_size=12),
)
def test_repetition_penalty_is_that_of_transformers(
    logits: Tensor, penalty: float, occurred: list[int]
) -> None:
    tokens = torch.tensor([occurred, occurred[::-1]])
    counts = torch.zeros(2, N_VOCAB, dtype=torch.long).scatter_add_(
        1, tokens, torch.ones_like(tokens)
    )
    torch.testing.assert_close(
        penalize_repetition(logits, counts, penalty),
        RepetitionPenaltyLogitsProcessor(penalty)(tokens, logits.clone()),
        atol=0,
        rtol=0,
    )


@given(rows_of_logits(), st.floats(-2.0, 2.0))
def test_frequency_penalty_counts_occurrences(logits: Tensor, penalty: float) -> None:
    counts = torch.arange(N_VOCAB).expand(2, -1)
    torch.testing.assert_close(
        logits - penalize_frequency(logits, counts, penalty), penalty * counts.double()
    )


def test_in_sampling_the_frequency_penalty_comes_after_the_temperature() -> None:
    """As in TransformerLens: what is subtracted does not depend on the temperature."""
    logits = torch.tensor([[4.0, 0.0]])
    counts = torch.tensor([[1, 0]])
    found = Sampling(temperature=2.0, freq_penalty=1.5).allowed(logits, counts, 2.0)
    assert float(found[0, 0] - found[0, 1]) == 4.0 / 2.0 - 1.5


@given(rows_of_logits(), st.floats(0.0, 1.0, exclude_max=True))
def test_a_draw_inverts_the_distribution_function(logits: Tensor, u: float) -> None:
    chosen = draw(logits, torch.full((2,), u, dtype=torch.float64))
    below = logits.softmax(-1).cumsum(-1)
    for row, token in zip(below, chosen.tolist(), strict=True):
        assert u < row[token] + 1e-12
        assert token == 0 or u >= row[token - 1] - 1e-12


@pytest.mark.parametrize("u", [0.0, 0.5, math.nextafter(1.0, 0.0)])
@pytest.mark.parametrize("alive", [0, 2, 4])
def test_a_draw_never_takes_what_is_impossible(u: float, alive: int) -> None:
    logits = torch.full((1, 5), -torch.inf)
    logits[0, alive] = -7.3
    assert draw(logits, torch.tensor([u], dtype=torch.float64)).tolist() == [alive]


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.5}, {"top_k": 4}, {"top_p": 0.8}, {"temperature": 2.0, "top_p": 0.9}],
)
def test_frequencies_of_draws_are_the_probabilities(options: dict[str, Any]) -> None:
    """Chi-square of 20,000 draws against the softmax of what transformers' warpers leave."""
    n = 20_000
    logits = torch.randn(1, N_VOCAB, generator=torch.Generator().manual_seed(1)) * 1.5
    expected = logits.double()
    if "temperature" in options:
        expected = TemperatureLogitsWarper(options["temperature"])(None, expected)
    if "top_k" in options:
        expected = TopKLogitsWarper(options["top_k"])(None, expected)
    if "top_p" in options:
        expected = TopPLogitsWarper(options["top_p"])(None, expected)
    probability = expected.softmax(-1)[0]

    numbers = uniforms(3, 1, n)[0]
    chosen = Sampling(**options).choose(logits.expand(n, -1), None, numbers)
    observed = torch.bincount(chosen, minlength=N_VOCAB)
    possible = probability > 0
    assert observed[~possible].sum() == 0
    p_value = stats.chisquare(observed[possible], probability[possible] * n).pvalue
    assert p_value > 1e-3
    # The test can fail: another temperature is told apart.
    other = Sampling(temperature=options.get("temperature", 1.0) * 1.4).choose(
        logits.expand(n, -1), None, numbers
    )
    counts = torch.bincount(other, minlength=N_VOCAB)[possible].double()
    assert stats.chisquare(counts, probability[possible] * counts.sum()).pvalue < 1e-4


@given(rows_of_logits(), st.floats(0.0, 1.0, exclude_max=True))
def test_four_ways_to_be_greedy(logits: Tensor, u: float) -> None:
    uniform = torch.full((2,), u, dtype=torch.float64)
    largest = logits.argmax(-1)
    for sampling in (
        Sampling(do_sample=False),
        Sampling(temperature=0),
        Sampling(top_k=1),
        Sampling(top_p=1e-9),
    ):
        assert torch.equal(sampling.choose(logits, None, uniform), largest)


def test_greedy_choice_obeys_penalties_and_suppression() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0]])
    counts = torch.tensor([[2, 0, 0]])
    assert Sampling(False, repetition_penalty=2.0).choose(logits, counts, None).tolist() == [1]
    assert Sampling(False, freq_penalty=0.75).choose(logits, counts, None).tolist() == [1]
    assert Sampling(False, suppress_tokens=[0, 1]).choose(logits, None, None).tolist() == [2]
    assert logits.tolist() == [[3.0, 2.0, 1.0]], "the logits were written to"


@given(st.integers(0, 2**40), st.integers(1, 5), st.integers(1, 30))
def test_the_numbers_of_a_row_depend_on_the_seed_and_its_index_alone(
    seed: int, batch: int, n_steps: int
) -> None:
    large = uniforms(seed, 6, 40)
    assert torch.equal(uniforms(seed, batch, n_steps), large[:batch, :n_steps])
    assert len(set(large.flatten().tolist())) == large.numel(), "rows are alike"
    assert ((large >= 0) & (large < 1)).all()
    assert not torch.equal(uniforms(seed + 1, 6, 40), large)


def test_longer_writing_draws_the_same_numbers_first() -> None:
    assert torch.equal(uniforms(0, 2, 5000)[:, :999], uniforms(0, 2, 999))


def test_without_a_seed_the_global_generator_decides() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first, second = uniforms(None, 2, 3), uniforms(None, 2, 3)
        assert not torch.equal(first, second)
        torch.manual_seed(5)
        assert torch.equal(uniforms(None, 2, 3), first)


def test_a_seed_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    uniforms(1, 3, 4)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": "hot"},
        {"temperature": True},
        {"top_k": 0},
        {"top_k": -3},
        {"top_k": 2.5},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": math.nan},
        {"top_p": -0.5},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": -1.0},
        {"repetition_penalty": math.nan},
        {"freq_penalty": math.inf},
    ],
)
def test_refuses_options_out_of_range_and_names_them(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        Sampling(**options)
