from __future__ import annotations

from itertools import islice, pairwise

import pytest
import torch

from interp.errors import HookError, InputError
from probes.dictionary import ModelRows
from probes.dictionary.stream import activations, counted
from probes.passages import batches
from tests.probes.dictionary.test_metrics import SHAPES, examples, small


def names(rows: torch.Tensor, all_rows: torch.Tensor) -> list[int]:
    """Which of all rows each one is."""
    distance = torch.cdist(rows, all_rows)
    assert distance.min(1).values.max() < 1e-6
    return distance.argmin(1).tolist()


@pytest.mark.parametrize("shape", list(SHAPES))
def test_an_epoch_holds_every_token_once(shape: str) -> None:
    changes, site = SHAPES[shape]
    model = small(**changes)
    texts = examples(model)
    found = [
        activations(model, b, [site])[site][counted(model, site, b)] for _, b in batches(texts)
    ]
    whole = torch.cat(found)
    for buffer in (6, 16, 1000):
        rows = ModelRows(model, texts, site, rows=6, buffer=buffer)
        for epoch in range(2):
            first = sum(rows.steps_of(before) for before in range(epoch))
            epoch_rows = list(islice(rows.since(first), rows.steps_of(epoch)))
            assert sorted(names(torch.cat(epoch_rows), whole)) == list(range(len(whole)))


def test_rows_are_shuffled_across_the_buffer() -> None:
    model = small()
    texts = examples(model)
    site = "blocks.0.hook_resid_post"
    found = [
        activations(model, b, [site])[site][counted(model, site, b)] for _, b in batches(texts)
    ]
    whole = torch.cat(found)
    rows = ModelRows(model, texts, site, rows=40, buffer=1000)
    first, second = (names(next(rows.since(step)), whole) for step in (0, 1))
    assert sorted(first) == sorted(second) == list(range(len(whole)))
    assert first != second  # another order each epoch
    neighbours = sum(abs(a - b) == 1 for a, b in pairwise(first))
    assert neighbours < len(whole) / 4  # 2 in n by chance; in the order of the texts nearly all


def test_a_step_is_a_function_of_seed_and_number() -> None:
    model = small()
    rows = ModelRows(model, examples(model), "blocks.1.hook_resid_post", rows=8, buffer=20, seed=4)
    straight = list(islice(rows, 20))
    for step in (0, 3, 7, 19):
        assert torch.equal(next(rows.since(step)), straight[step])
    other = ModelRows(model, examples(model), "blocks.1.hook_resid_post", rows=8, buffer=20, seed=5)
    assert not torch.equal(next(iter(other)), straight[0])
    assert max(map(len, straight)) <= 12  # about as many rows as were asked for


def test_pairs_are_of_the_same_tokens() -> None:
    model = small(act_fn="relu")
    rows = ModelRows(
        model, examples(model), "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out", rows=9
    )
    mlp = model.blocks[1].mlp
    for pair in islice(rows, 4):
        x, y = pair
        assert torch.allclose((x @ mlp.W_in + mlp.b_in).relu() @ mlp.W_out + mlp.b_out, y)


def test_padding_and_special_tokens_are_left_out() -> None:
    model = small()
    texts = examples(model)
    batch = texts.collate([0, 2])
    keep = counted(model, "blocks.0.hook_resid_post", batch)
    assert keep.sum(1).tolist() == [4, 11]
    assert not keep[:, 0].any()


def test_what_cannot_be_read_is_refused() -> None:
    model = small()
    texts = examples(model)
    with pytest.raises(HookError, match="layers 0 to 1"):
        ModelRows(model, texts, "blocks.9.hook_resid_post")
    with pytest.raises(InputError, match="do not come out of a buffer"):
        ModelRows(model, texts, "blocks.0.hook_resid_post", rows=9, buffer=8)
    both = small(**SHAPES["source"][0])
    with pytest.raises(InputError, match="one side of the model"):
        ModelRows(both, examples(both), "encoder.0.hook_mlp_out", "decoder.0.hook_mlp_out")
