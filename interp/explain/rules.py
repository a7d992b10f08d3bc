"""Rules of the backward pass: other gradients than the true ones, for relevance.

A gradient tells what a small step would change. Relevance asks instead what each part of a sum
contributed, and hands the value of an output back to its inputs. Where a model is linear the two
agree (gradient times input); where it is not, a rule replaces the gradient:

- a norm divides by its scale as if that were constant;
- an activation function multiplies by act(x) / x, the slope of the line from the origin;
- a product of two activations (pattern and values, queries and keys, a gate and what passes it)
  gives half to each;
- the softmax is stopped (CP-LRP), keeps its gradient (AttnLRP), or has that of a softer one (GIM).

The forward pass keeps its values bit for bit; only what flows back is changed. All of it is a tap,
so it ends with the call that it is given to, and nothing is left on the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.model.core import Transformer
from interp.model.mlp import ACTIVATIONS
from interp.model.tap import Tap


@dataclass(frozen=True)
class Rules:
    """Which rule each kind of part follows; norms are frozen by all.

    Attributes:
        softmax: `stopped` lets nothing through to the scores, and so all to the values;
            `exact` and `tempered` split between pattern and values, and between queries and keys.
        gate: of a gated feed-forward layer: `half` to the gate and half to what passes it, or
            `frozen`, all to what passes it.
        slopes: whether activation functions (and caps of scores and logits) pass act(x) / x
            rather than their derivative.
    """

    softmax: Literal["stopped", "exact", "tempered"]
    gate: Literal["half", "frozen"]
    slopes: bool


RULES: dict[str, Rules] = {
    # Ali et al. 2022, arXiv 2202.07304
    "cp_lrp": Rules("stopped", "half", slopes=True),
    # Achtibat et al. 2024, arXiv 2402.05602
    "attn_lrp": Rules("exact", "half", slopes=True),
    # Edin et al. 2025, arXiv 2505.17630: gradients over 4 at queries and keys, over 2 at values
    "gim": Rules("tempered", "half", slopes=False),
    # The model as one affine map; see `interp.explain.methods.frozen`
    "frozen": Rules("stopped", "frozen", slopes=True),
}

TEMPERATURE = 2.0  # of GIM's softer softmax

# Points that are sums or linear maps of others (with a bias), so that gradients are right as they
# are; a model with a point that is neither here nor under a rule has a part that nobody has
# thought about.
_LINEAR = frozenset(
    "hook_embed hook_pos_embed hook_token_type_embed hook_full_embed hook_normalized "
    "hook_resid_pre hook_resid_mid hook_resid_mid_cross hook_resid_post "
    "hook_normalized_resid_post hook_attn_in hook_q_input hook_k_input hook_v_input "
    "hook_q hook_k hook_v hook_rot_q hook_rot_k hook_result hook_attn_out hook_mlp_in "
    "hook_mlp_out hook_cross_attn_in hook_cross_attn_out".split()
)
_RULED = frozenset(
    "hook_scale hook_pre hook_pre_linear hook_post hook_pooler_out hook_attn_scores_uncapped "
    "hook_attn_scores hook_pattern hook_z".split()
)


def backward_rules(model: Any, name: str) -> Tap:
    """A tap under which gradients follow the rules of `cp_lrp`, `attn_lrp` or `gim` (or `frozen`).

    Give it to a forward whose gradient is taken; in a chain, behind the taps that edit. It holds
    activations between two points, so it is for one forward at a time.

    Raises:
        InputError: there are no such rules.
        UnsupportedModelError: a part of the model has no rule, or it is another library's.
    """
    if name not in RULES:
        raise InputError(f"There are no rules {name!r}; there are: {', '.join(RULES)}.")
    if not isinstance(model, Transformer):
        raise UnsupportedModelError(
            f"{type(model).__name__} is not a HookedTransformer, so its parts cannot be told "
            "apart. Load the checkpoint with interp.load."
        )
    unknown = [point for point in model.hook_points if _leaf(point) not in _LINEAR | _RULED]
    if unknown:
        raise UnsupportedModelError(
            f"There is no backward rule for {unknown[0]}. Relevance through a part without a rule "
            "would look right and be wrong; use integrated_gradients."
        )
    return BackwardRules(model, RULES[name])


class BackwardRules(Tap):
    """See `backward_rules`."""

    def __init__(self, model: Transformer, rules: Rules):
        self.model = model
        self.rules = rules
        self._held: dict[str, Tensor] = {}
        self._at: dict[str, Callable[[str, Tensor], Tensor]] = {
            "hook_scale": _stop,
            "hook_pre": self._hold,
            "hook_pre_linear": self._hold,
            "hook_post": self._activate,
            "hook_pooler_out": self._activate,
        }
        if rules.softmax == "stopped":
            self._at["hook_pattern"] = _stop
        else:
            self._at["hook_attn_scores_uncapped"] = self._hold
            self._at["hook_attn_scores"] = self._score
            self._at["hook_z"] = _halve
        if rules.softmax == "tempered":
            self._at["hook_pattern"] = self._temper

    def wants(self, name: str) -> bool:
        return _leaf(name) in self._at

    edits = wants

    def needs(self, name: str) -> bool:
        """What a forward leaves out needs no rule."""
        return False

    def visit(self, name: str, value: Tensor) -> Tensor:
        return self._at[_leaf(name)](name, value)

    def _hold(self, name: str, value: Tensor) -> Tensor:
        self._held[name] = value
        return value

    def _taken(self, name: str, point: str) -> Tensor | None:
        """What was held at another point of the part that `name` lies in."""
        return self._held.pop(f"{_part(name)}.{point}", None)

    def _activate(self, name: str, value: Tensor) -> Tensor:
        pre, passed = self._taken(name, "hook_pre"), self._taken(name, "hook_pre_linear")
        if pre is None:  # a pooler without a layer of its own
            return value
        act = activation(self.model, _part(name))
        active = pre * slope(act, pre) if self.rules.slopes else act(pre)
        if passed is None:
            return instead(value, active)
        if self.rules.gate == "frozen":
            return instead(value, active.detach() * passed)
        return instead(value, active * passed / 2)

    def _score(self, name: str, value: Tensor) -> Tensor:
        raw, surrogate = self._taken(name, "hook_attn_scores_uncapped"), value
        if raw is not None and self.rules.slopes:
            surrogate = raw * slope(activation(self.model, _part(name)), raw)
        value = instead(value, surrogate / 2)
        return self._hold(name, value) if self.rules.softmax == "tempered" else value

    def _temper(self, name: str, value: Tensor) -> Tensor:
        scores = self._taken(name, "hook_attn_scores")
        assert scores is not None
        softer = torch.softmax(scores / TEMPERATURE, -1)
        # Times the temperature, since it is not meant to make the gradient smaller.
        return instead(value, softer * TEMPERATURE)


def instead(value: Tensor, surrogate: Tensor) -> Tensor:
    """A value with the gradient of another, which has the same shape."""
    return cast(Tensor, _Instead.apply(value, surrogate))  # type: ignore[no-untyped-call]


class _Instead(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, surrogate: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]


def _stop(name: str, value: Tensor) -> Tensor:
    return value.detach()


def _halve(name: str, value: Tensor) -> Tensor:
    return instead(value, value / 2)


def activation(model: Transformer, part: str) -> Callable[[Tensor], Tensor]:
    """The elementwise function between the two sides of a part; all of them map 0 to 0."""
    cfg = model.cfg
    if part == "unembed":
        return partial(_capped, cap=cfg.output_logits_soft_cap)
    if part.endswith("attn"):
        return partial(_capped, cap=cfg.attn_scores_soft_cap)
    return ACTIVATIONS[(part == "pooler" and cfg.pooler_act) or cfg.act_fn]


def _capped(x: Tensor, cap: float) -> Tensor:
    return cap * torch.tanh(x / cap)


def slope(act: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """act(x) / x, without gradient; at 0 its limit, of ReLU that from the left, which is 0."""
    x = x.detach()
    x = torch.where(x == 0, -torch.finfo(x.dtype).eps, x)
    return act(x) / x


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _part(name: str) -> str:
    return name.rpartition(".")[0]
