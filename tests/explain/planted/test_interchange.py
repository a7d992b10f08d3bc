"""What is taken from another text, what must then be said, and when training has succeeded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp import HookedTransformer, TrainingError, TransformerConfig
from interp.explain.planted import interchange
from interp.explain.planted.interchange import TASKS, VALUES, Task, gate, train_interchange

COPY = Task("copy", {"a": (0, 1, 0)}, lambda a: a, VALUES)


def model() -> HookedTransformer:
    cfg = TransformerConfig(
        d_model=16,
        n_layers=interchange.LAYERS,
        n_heads=interchange.HEADS,
        d_vocab=VALUES + 1,
        n_ctx=interchange.LENGTH,
        initializer_range=0.3,
    )
    return HookedTransformer(cfg).eval()


def texts(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VALUES + 1, (7, interchange.LENGTH), generator=generator)


def test_rows_take_only_the_nodes_that_they_chose() -> None:
    m, base, source = model(), texts(0), texts(1)
    node = ("blocks.2.attn.hook_z", 1)
    rows = torch.tensor([True, False, True, False, False, False, True])
    found = interchange._interchanged(m, base, interchange._activations(m, source), {node: rows})
    _, other = m.run_with_cache(source)

    def put(value: Tensor, hook: object) -> Tensor:
        value = value.clone()
        value[:, :, 1] = other[node[0]][:, :, 1]
        return value

    swapped = m.run_with_hooks(base, fwd_hooks=[(node[0], put)])[:, -1]
    expected = torch.where(rows[:, None], swapped, m(base)[:, -1])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(swapped, m(base)[:, -1], atol=1e-3)


def test_with_every_node_of_another_text_only_the_last_token_is_left() -> None:
    m, base, source = model(), texts(0), texts(1)
    source[:, -1] = base[:, -1]
    everything = {node: torch.ones(7, dtype=torch.bool) for node in interchange._nodes()}
    found = interchange._interchanged(m, base, interchange._activations(m, source), everything)
    torch.testing.assert_close(found, m(source)[:, -1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", TASKS)
def test_a_variable_of_another_text_changes_the_answer_as_the_task_says(name: str) -> None:
    task, base, source = TASKS[name], texts(0), texts(1)
    for variable, (position, _, _) in task.reads.items():
        mixed = base.clone()
        mixed[:, position] = source[:, position]
        assert torch.equal(interchange._swapped(task, base, source, variable), task.answer(mixed))
    assert torch.equal(interchange._swapped(task, base, source, None), task.answer(source))
    assert task.answer(texts(2)).max() < task.answers


def test_an_untrained_model_does_not_pass() -> None:
    assert not gate(model(), COPY, n=100).passed
    with pytest.raises(TrainingError, match="not the model's mechanism"):
        train_interchange(COPY, steps=2, batch=4)


@pytest.mark.slow
def test_training_makes_the_circuit_the_mechanism() -> None:
    planted = train_interchange(COPY, steps=300, batch=32)
    assert gate(planted.model, COPY, n=500, seed=5).passed
    ids = planted.draw(200, torch.Generator().manual_seed(0))
    right = planted.logits(ids).argmax(-1) == planted.mechanism(ids).argmax(-1)
    assert right.double().mean() >= 0.99
    assert planted.heads["blocks.1.attn"].tolist() == [True, False, False, False]
    (item, *_) = planted.items(3)
    assert item.contribution is not None and not item.contribution[1:].any()
