"""Models that are trained until a chosen circuit is their mechanism.

Strict interchange intervention training (Gupta et al. 2024, arXiv 2407.14494, "InterpBench", after
Geiger et al. 2022, arXiv 2112.00826). A task has variables, and each variable a node of the model
that is to carry it. In training, a node's activation is taken from another text, and the model
must then say what the task says with that variable taken from the other text; and activations of
nodes outside the circuit are taken from another text, and the model must say what it said.
Weights and activations look as in any trained model, and yet the mechanism is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from interp.errors import TrainingError
from interp.explain.planted.record import Planted
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer

LENGTH = 6
VALUES = 5
"""Token 0 is blank and stands for the value 0, tokens 1 to 5 for the values 0 to 4."""
LAYERS, HEADS, WIDTH = 4, 4, 64
SUM_LAYER = 2
"""The feed-forward layer that makes an answer of the variables."""

Node = tuple[str, int]
"""An activation's name, and the head in it (0 where there are none)."""


@dataclass(frozen=True)
class Task:
    """A function of the tokens at a few positions.

    Attributes:
        reads: variable -> (position of its token, layer and head that are to carry it).
        rule: values of the variables [batch] each -> answer [batch], below `answers`.
    """

    name: str
    reads: Mapping[str, tuple[int, int, int]]
    rule: Callable[..., Tensor]
    answers: int

    def variables(self, ids: Tensor) -> dict[str, Tensor]:
        """The values [batch] in texts [batch, pos]."""
        return {
            name: (ids[:, position] - 1).clamp(min=0)
            for name, (position, _, _) in self.reads.items()
        }

    def answer(self, ids: Tensor) -> Tensor:
        """[batch]"""
        return self.rule(**self.variables(ids))

    @property
    def circuit(self) -> dict[Node, str | None]:
        """Node -> the variable that it carries; None for the answer."""
        found: dict[Node, str | None] = {
            (f"blocks.{layer}.attn.hook_z", head): name
            for name, (_, layer, head) in self.reads.items()
        }
        found[f"blocks.{SUM_LAYER}.hook_mlp_out", 0] = None
        return found


TASKS = {
    task.name: task
    for task in (
        Task("sum", {"a": (0, 0, 1), "b": (2, 1, 2)}, lambda a, b: (a + b) % VALUES, VALUES),
        Task("compare", {"a": (1, 1, 0), "b": (3, 0, 3)}, lambda a, b: (a < b).long(), 2),
        Task(
            "choose",
            {"which": (0, 0, 2), "even": (1, 1, 1), "odd": (3, 1, 3)},
            lambda which, even, odd: torch.where(which % 2 == 0, even, odd),
            VALUES,
        ),
    )
}


@dataclass(frozen=True)
class Gate:
    """What a trained model must show.

    Attributes:
        accuracy: of its answers.
        interchange: of its answers with a variable's node taken from another text, the task's
            answer with that variable from there being right.
        worst_drop: the largest loss of accuracy by taking one node outside the circuit from
            another text.
        all_drop: the same of all of them at once.
    """

    accuracy: float
    interchange: float
    worst_drop: float
    all_drop: float

    @property
    def passed(self) -> bool:
        """Whether the circuit is the mechanism: all but 1 % of answers are as it says."""
        return min(self.accuracy, self.interchange) >= 0.99 and (
            max(self.worst_drop, self.all_drop) < 0.01
        )


def train_interchange(
    task: Task, seed: int = 0, *, steps: int = 1000, batch: int = 64, rate: float = 2e-3
) -> Planted:
    """Trains a model of 4 layers, 4 heads and width 64 under strict interchange; minutes.

    Args:
        seed: of the first weights and of all texts.
        steps: of Adam, with a rate that rises to `rate` and falls to 0.
        batch: texts of each of the three kinds in a step.

    Raises:
        TrainingError: the circuit has not become the mechanism.
    """
    model = HookedTransformer(
        TransformerConfig(
            d_model=WIDTH,
            n_layers=LAYERS,
            n_heads=HEADS,
            d_vocab=VALUES + 1,
            d_vocab_out=task.answers,
            n_ctx=LENGTH,
            act_fn="gelu",
        ),
        seed=seed,
    )
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        loss = _loss(model, task, batch, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.requires_grad_(False).eval()
    shown = gate(model, task)
    if not shown.passed:
        raise TrainingError(
            f"After {steps} steps the circuit of {task.name!r} is not the model's mechanism: "
            f"{shown}. Train longer, or from another seed."
        )
    return _planted(model, task)


def gate(model: HookedTransformer, task: Task, n: int = 1000, seed: int = 10**6) -> Gate:
    """Measures on fresh texts whether a circuit is the mechanism of a model."""
    generator = torch.Generator().manual_seed(seed)
    base, source = _texts(n, generator), _texts(n, generator)
    right = task.answer(base)
    with torch.no_grad():
        other = _activations(model, source)

    def accuracy(nodes: list[Node], answer: Tensor) -> float:
        chosen = {node: torch.ones(n, dtype=torch.bool) for node in nodes}
        with torch.no_grad():
            logits = _interchanged(model, base, other, chosen)
        return (logits.argmax(-1) == answer).double().mean().item()

    plain = accuracy([], right)
    others = [node for node in _nodes() if node not in task.circuit]
    swapped = [
        accuracy([node], _swapped(task, base, source, name)) for node, name in task.circuit.items()
    ]
    return Gate(
        accuracy=plain,
        interchange=min(swapped),
        worst_drop=max(plain - accuracy([node], right) for node in others),
        all_drop=plain - accuracy(others, right),
    )


def _loss(model: HookedTransformer, task: Task, batch: int, generator: torch.Generator) -> Tensor:
    """Cross-entropy in nats, of three kinds of rows: texts as they are, with one node of the
    circuit from another text, and with a random half of the other nodes from another text."""
    base, source = _texts(3 * batch, generator), _texts(3 * batch, generator)
    answer = task.answer(base)
    kind = torch.arange(3).repeat_interleave(batch)
    circuit = list(task.circuit)
    which = torch.randint(len(circuit), (3 * batch,), generator=generator)
    chosen = {}
    for node in _nodes():
        if node in task.circuit:
            chosen[node] = (kind == 1) & (which == circuit.index(node))
            swapped = _swapped(task, base, source, task.circuit[node])
            answer = torch.where(chosen[node], swapped, answer)
        else:
            half = torch.rand(3 * batch, generator=generator) < 0.5
            chosen[node] = (kind == 2) & half
    logits = _interchanged(model, base, _activations(model, source), chosen)
    return F.cross_entropy(logits, answer)


def _swapped(task: Task, base: Tensor, source: Tensor, variable: str | None) -> Tensor:
    """The answer [batch] with one variable (None: the answer itself) from another text."""
    if variable is None:
        return task.answer(source)
    values = task.variables(base)
    values[variable] = task.variables(source)[variable]
    return task.rule(**values)


def _activations(model: HookedTransformer, texts: Tensor) -> dict[str, Tensor]:
    """Every node's activations, by name; gradients flow into them."""
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> None:
        kept[hook.name] = value

    model.run_with_hooks(texts, fwd_hooks=[(name, keep) for name in dict(_nodes())])
    return kept


def _interchanged(
    model: HookedTransformer,
    base: Tensor,
    other: Mapping[str, Tensor],
    chosen: Mapping[Node, Tensor],
) -> Tensor:
    """The last logits [batch, answer] of `base`, with the chosen rows [batch] of each node taken
    from another run's activations."""
    rows: dict[str, Tensor] = {}  # [batch, head], or [batch, 1] where there are none
    for (name, head), mask in chosen.items():
        heads = HEADS if name.endswith("hook_z") else 1
        rows.setdefault(name, torch.zeros(len(base), heads, dtype=torch.bool))[:, head] = mask

    def put(value: Tensor, hook: Any) -> Tensor:
        here = rows[hook.name][:, None]
        return torch.where(here[..., None] if value.ndim == 4 else here, other[hook.name], value)

    logits: Tensor = model.run_with_hooks(base, fwd_hooks=[(name, put) for name in rows])
    return logits[:, -1]


def _nodes() -> list[Node]:
    """Every head's output, and every feed-forward layer's."""
    heads = [(f"blocks.{i}.attn.hook_z", head) for i in range(LAYERS) for head in range(HEADS)]
    return heads + [(f"blocks.{i}.hook_mlp_out", 0) for i in range(LAYERS)]


def _texts(n: int, generator: torch.Generator) -> Tensor:
    return torch.randint(VALUES + 1, (n, LENGTH), generator=generator)


def _planted(model: HookedTransformer, task: Task) -> Planted:
    heads = {f"blocks.{i}.attn": torch.zeros(HEADS, dtype=torch.bool) for i in range(LAYERS)}
    for _, layer, head in task.reads.values():
        heads[f"blocks.{layer}.attn"][head] = True

    def mechanism(ids: Tensor) -> Tensor:
        return F.one_hot(task.answer(ids), task.answers).double()[:, None]

    return Planted(
        name=task.name,
        level="trained",
        model=model,
        mechanism=mechanism,
        places=(LENGTH - 1,),
        alphabet=torch.ones(LENGTH, VALUES + 1, dtype=torch.bool),
        blank=0,
        draw=lambda n, generator: _texts(n, generator).clamp(min=1),
        heads=heads,
        mlps={f"blocks.{i}.mlp": i == SUM_LAYER for i in range(LAYERS)},
    )
