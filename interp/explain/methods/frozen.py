"""The model as one affine map of its embeddings, and the part of every token in what it computes.

Hold what a text does to the norms' scales, the attention patterns and the slopes act(x) / x of the
activation functions (of a gated layer: the whole gate). What is left is affine: an activation is
a sum of one part per token, and of one that no token has, from biases and positions. That sum is
exact at the text itself. This is the decomposition of DecompX (Modarressi et al. 2023, arXiv
2306.02873; without its spreading of biases over tokens) and of ALTI-Logit (Ferrando et al. 2023,
arXiv 2305.12535), which both compute a vector per token at every step. Here it takes one backward
pass for one number, and one forward of as many rows as tokens for all of an activation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.finding import Finding
from interp.explain.methods.gradients import gradient
from interp.explain.points import Point
from interp.explain.rules import activation, backward_rules, slope
from interp.model.core import Transformer
from interp.model.hook_points import resolve
from interp.model.tap import Finished, Record, Tap, chain

_HELD = ("hook_scale", "hook_pattern")
_NO_SUM = (*_HELD, "hook_attn_scores", "hook_attn_scores_uncapped")


def frozen_decomposition(point: Point) -> Finding:
    """The part of each token in the target: e_i . dF/de_i of the frozen model.

    The scores and the part of biases and positions add up to the target, where that is linear in
    the logits. A token that the baseline keeps has the score 0. Of a model without gates this is
    CP-LRP; a gate is constant here as the attention pattern is, where LRP would give it half.
    """
    slopes = gradient(point, backward_rules(point.model, "frozen"))
    return Finding(point.by_unit((slopes * point.embedded).sum(-1) * point.moves))


@dataclass(frozen=True)
class TokenParts:
    """An activation of one text as a sum over its tokens.

    Attributes:
        name: of the activation.
        parts: [token, *activation], what each token's embedding has become.
        rest: [*activation], what no token has: from biases and positions.
    """

    name: str
    parts: Tensor
    rest: Tensor

    @property
    def whole(self) -> Tensor:
        """The activation, [*activation]."""
        return self.parts.sum(0) + self.rest


def token_parts(point: Point, name: str) -> TokenParts:
    """The part of every token in one activation, by a forward of the frozen model on each token's
    embedding alone, and on none.

    Args:
        name: full or short name of an activation, such as `blocks.2.hook_resid_post`.

    Raises:
        HookError: there is no such point.
        InputError: the activation is no sum over tokens (scores are products, and scales and
            patterns are held), or the model is another library's.
    """
    model = point.require_taps()
    name = resolve(model.hook_points, name)
    if name.endswith(_NO_SUM):
        raise InputError(
            f"{name} is no sum over tokens: scores are products, and scales and patterns are what "
            "the decomposition holds. Take an activation that is added up, such as hook_z."
        )
    frozen = Frozen(model, _held(point))
    n = len(point.embedded)
    alone = torch.eye(n, dtype=point.embedded.dtype, device=point.embedded.device)
    rows = torch.cat([alone[..., None] * point.embedded, torch.zeros_like(point.embedded)[None]])
    found = []
    with torch.no_grad():
        for chunk in rows.split(point.rows):
            record = Record([name], stop=True)
            try:
                point.logits(chunk, chain(frozen, record))
            except Finished:
                found.append(record.values[name])
    values = torch.cat(found)
    return TokenParts(name, values[:-1] - values[-1], values[-1])


class Frozen(Tap):
    """Runs a model with the scales, patterns and slopes of another run.

    Args:
        held: by name, of one text [1, ...]: every `hook_scale` and `hook_pattern`, and what enters
            every activation function.
    """

    def __init__(self, model: Transformer, held: dict[str, Tensor]):
        self.model = model
        self.held = held
        self._entered: dict[str, Tensor] = {}

    def wants(self, name: str) -> bool:
        return name.endswith((*_HELD, *_ENTER, *_LEAVE))

    edits = wants

    def visit(self, name: str, value: Tensor) -> Tensor:
        if name.endswith(_HELD):
            return self.held[name].expand_as(value)
        part, _, leaf = name.rpartition(".")
        if leaf in _ENTER:
            self._entered[leaf] = value
            return value
        pre = self.held.get(f"{part}.hook_pre")
        if pre is None:  # a pooler without a layer of its own
            return value
        act = activation(self.model, part)
        entered, passed = self._entered.pop("hook_pre"), self._entered.pop("hook_pre_linear", None)
        return entered * slope(act, pre) if passed is None else act(pre) * passed


_ENTER = ("hook_pre", "hook_pre_linear")
_LEAVE = ("hook_post", "hook_pooler_out")


def _held(point: Point) -> dict[str, Tensor]:
    """What the text's own run gives `Frozen`."""
    names = [n for n in point.model.hook_points if n.endswith((*_HELD, "hook_pre"))]
    record = Record(names)
    with torch.no_grad():
        point.logits(point.embedded[None], record)
    return record.values
