"""Every planted model computes its mechanism, and the truth of its items is the model's own."""

from __future__ import annotations

from itertools import product
from math import comb

import pytest
import torch
from torch import Tensor

from interp import InputError
from interp.explain.planted import COMPILED, HAND_WRITTEN, Planted
from interp.explain.planted.suite import NORMED
from interp.explain.planted.wiring import Disguise

MODELS = {**HAND_WRITTEN, **COMPILED, **NORMED}
EACH = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def models() -> dict[str, Planted]:
    return {name: make(seed) for seed, (name, make) in enumerate(MODELS.items())}


def anything(planted: Planted, n: int, seed: int = 0) -> Tensor:
    """Texts of all that may stand at each unit, blanks among it."""
    generator = torch.Generator().manual_seed(seed)
    columns = [
        torch.multinomial(row.float(), n, replacement=True, generator=generator)
        for row in planted.alphabet
    ]
    return torch.stack(columns, 1)


@EACH
def test_the_model_computes_the_mechanism(models: dict[str, Planted], name: str) -> None:
    planted = models[name]
    texts = torch.cat(
        [anything(planted, 1000), planted.draw(500, torch.Generator().manual_seed(1))]
    )
    expected = planted.mechanism(texts)
    torch.testing.assert_close(planted.logits(texts).double(), expected, atol=1e-4, rtol=0)
    if name != "position only":
        assert expected.std(0).max() > 0.1  # it does something


def test_short_models_are_right_on_every_text_there_is() -> None:
    """Of the tokens that matter and one that does not, at all eight places."""
    texts = torch.tensor(list(product((1, 2, 5), repeat=8)))
    for name in ("conjunction", "disjunction", "negation", "redundant copies"):
        planted = HAND_WRITTEN[name](0)
        expected = planted.mechanism(texts)
        torch.testing.assert_close(planted.logits(texts).double(), expected, atol=1e-6, rtol=0)


@EACH
def test_contributions_are_the_shapley_values_of_the_model(
    models: dict[str, Planted], name: str
) -> None:
    """By another formula, and with the model's own logits for the value of a coalition."""
    planted = models[name]
    for item in planted.items(2, seed=3):
        movable = item.movable.nonzero()[:, 0].tolist()
        n = len(movable)
        texts = item.ids.repeat(2**n, 1)
        members = [[bool(row >> k & 1) for k in range(n)] for row in range(2**n)]
        for row, present in enumerate(members):
            texts[row, [u for u, there in zip(movable, present, strict=True) if not there]] = 0
        place = planted.places.index(item.position)
        values = planted.logits(texts)[:, place, item.token].double()
        for k, unit in enumerate(movable):
            share = sum(
                values[row].item()
                * (1 if present[k] else -1)
                / (n * comb(n - 1, sum(present) - present[k]))
                for row, present in enumerate(members)
            )
            assert item.contribution is not None
            assert item.contribution[unit].item() == pytest.approx(share, abs=1e-4)


@EACH
def test_heads_outside_the_mechanism_do_nothing_and_those_inside_do(
    models: dict[str, Planted], name: str
) -> None:
    planted = models[name]
    texts = planted.draw(200, torch.Generator().manual_seed(2))
    n = planted.n_source
    inputs = {"decoder_tokens": texts[:, n:]} if n else {}

    def without(heads: dict[str, Tensor]) -> Tensor:
        def silence(value: Tensor, hook: object) -> Tensor:
            site = hook.name.removesuffix(".hook_z")  # type: ignore[attr-defined]
            return torch.where(heads[site][:, None], 0.0, value)

        hooks = [(f"{site}.hook_z", silence) for site in heads]
        with torch.no_grad():
            out: Tensor = planted.model.run_with_hooks(
                texts[:, : n or None], fwd_hooks=hooks, **inputs
            )
        if out.ndim == 2:
            return out[:, None]
        return out[:, list(planted.places)]  # type: ignore[arg-type]

    full = planted.logits(texts)
    assert sum(int(mask.sum()) for mask in planted.heads.values()) >= 1
    others = without({site: ~mask for site, mask in planted.heads.items()})
    torch.testing.assert_close(others, full, atol=1e-4, rtol=0)
    for site, mask in planted.heads.items():
        for head in mask.nonzero()[:, 0].tolist():
            alone = torch.zeros_like(mask)
            alone[head] = True
            changed = (without({site: alone}) - full).abs().max()
            if name == "redundant copies":  # the others make up for any one of them
                assert changed < 1e-5
            else:
                assert changed > 0.05


@EACH
def test_items_follow_from_their_seed(models: dict[str, Planted], name: str) -> None:
    planted = models[name]
    one, again, other = planted.items(5, 1), planted.items(5, 1), planted.items(5, 2)
    assert all(
        torch.equal(a.ids, b.ids) and a.target == b.target for a, b in zip(one, again, strict=True)
    )
    assert any(not torch.equal(a.ids, b.ids) for a, b in zip(one, other, strict=True))
    with pytest.raises(InputError, match="whole number"):
        planted.items(0)


def test_known_items_have_the_answers_that_one_would_give() -> None:
    """Items of the traps, in words: see the mechanisms."""
    for item in HAND_WRITTEN["redundant copies"](0).items(20):
        assert item.contribution is not None and not item.causal.any()
        expected = torch.zeros(8, dtype=torch.float64)
        expected[[1, 3, 5]] = 1 / 3
        torch.testing.assert_close(item.contribution, expected)
    for item in HAND_WRITTEN["position only"](0).items(5):
        assert item.contribution is not None and not item.contribution.any()
        assert not item.causal.any()
    for item in HAND_WRITTEN["sink"](0).items(20):
        assert item.contribution is not None and item.contribution[0] == 0
        assert item.causal.tolist() == [False] + [True] * 7
    for item in HAND_WRITTEN["loud distractor"](0).items(20):
        assert item.contribution is not None and not item.contribution[item.ids == 5].any()
    for item in HAND_WRITTEN["copy"](0).items(20):
        assert item.contribution is not None and item.position is not None
        assert item.contribution.nonzero()[:, 0].tolist() == [item.position]
    for item in HAND_WRITTEN["negation"](0).items(20):
        assert item.contribution is not None
        words = torch.tensor([0.0, 0, 1, 2, -1, 0, 0, 0])[item.ids].double()
        torch.testing.assert_close(item.contribution[item.ids != 1], -words[item.ids != 1] / 2)


def test_the_sink_takes_nine_tenths_of_the_attention_and_the_loud_token_is_loud() -> None:
    planted = HAND_WRITTEN["sink"](0)
    head = int(planted.heads["blocks.1.attn"].nonzero())
    texts = planted.draw(10, torch.Generator().manual_seed(0))
    _, cache = planted.model.run_with_cache(texts)
    assert cache["blocks.1.attn.hook_pattern"][:, head, -1, 0].tolist() == pytest.approx([0.9] * 10)
    loud = HAND_WRITTEN["loud distractor"](0).model.W_E.norm(dim=1)
    assert loud[5] > 10 * loud[[0, 1, 2, 3, 4, 6, 7]].max()


def test_a_disguised_stream_is_dense_and_a_plain_one_is_not() -> None:
    from interp.explain.planted.compiler import PLAIN, compile_program
    from interp.explain.planted.programs import PROGRAMS

    def share_of_zeros(disguise: Disguise) -> float:
        planted = compile_program(PROGRAMS["reverse"], 0, disguise)
        texts = planted.draw(50, torch.Generator().manual_seed(0))
        _, cache = planted.model.run_with_cache(texts)
        return (cache["blocks.1.hook_resid_post"].abs() < 1e-6).float().mean().item()

    assert share_of_zeros(PLAIN) > 0.7
    assert share_of_zeros(Disguise()) < 0.01


@pytest.mark.parametrize("name", ["shift", "sort"])
def test_a_norm_that_acts_divides_all_texts_alike_and_what_is_between_them_not(name: str) -> None:
    normed, plain = NORMED[f"{name}, norm"](0).model, COMPILED[name](0).model
    texts = NORMED[f"{name}, norm"](0).draw(50, torch.Generator().manual_seed(0))
    _, cache = normed.run_with_cache(texts)
    stream, scale = cache["blocks.0.hook_resid_pre"], cache["blocks.0.ln1.hook_scale"]
    torch.testing.assert_close(scale, scale[:1, :1].expand_as(scale))
    for model, acts in ((normed, True), (plain, False)):
        _, cache = model.run_with_cache(texts)
        stream = cache["blocks.0.hook_resid_pre"]
        between = (stream + stream.roll(1, 1)) / 2
        norm = model.blocks[0].norm("ln1")
        torch.testing.assert_close(norm(stream), stream, atol=1e-4, rtol=0)
        assert ((norm(between) - between).abs().max() > 0.1) == acts
