"""How a linear head reads a target off the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from interp.errors import UnsupportedModelError
from interp.explain.inside.run import Run
from interp.explain.resolved import ResolvedTarget


@dataclass(frozen=True)
class Readout:
    """How a head reads a target off the normalised stream: by one direction, at some places.

    Attributes:
        direction: [d_model].
        bias: what no component of the stream wrote: of the final norm's shift and of the head.
        places: positions; the target is the mean over them.
        note: what has to be said of it.
    """

    direction: Tensor
    bias: float
    places: list[int]
    note: str = ""

    @classmethod
    def of(cls, run: Run, target: ResolvedTarget) -> Readout:
        """
        Raises:
            UnsupportedModelError: the head is not linear.
        """
        if not run.resumable:
            raise UnsupportedModelError(
                "Direct attribution splits the stream of a HookedTransformer that runs without "
                "hooks; load the checkpoint with interp.load, and leave the `hooks()` context."
            )
        rows, biases = linear_head(run.model)
        (token,) = target.tokens
        direction, offset = rows[token], biases[token]
        if target.kind == "centred_logit":
            direction, offset = direction - rows.mean(0), offset - biases.mean()
        elif target.foil is not None:
            direction, offset = direction - rows[target.foil], offset - biases[target.foil]
        ln_final = run.model.stack(run.last_stack).ln_final
        if ln_final is not None and ln_final.bias is not None:
            offset = offset + ln_final.bias.detach() @ direction
        note = ", before the soft cap" if run.model.cfg.output_logits_soft_cap > 0 else ""
        return cls(direction, float(offset), _places(run, target), note)

    def __call__(self, cache: Any, components: Tensor) -> list[float]:
        """The shares of components [component, 1, place, d_model] that wrote at the places."""
        read = cache.apply_ln_to_stack(components, pos_slice=self.places)
        shares: Tensor = (read @ self.direction).double()
        out: list[float] = shares[:, 0].mean(-1).tolist()
        return out


def linear_head(model: Any) -> tuple[Tensor, Tensor]:
    """The map from the normalised stream to logits: [output, d_model], and its biases [output].

    Raises:
        UnsupportedModelError: something that is not linear lies in between.
    """
    output = model.output
    dense = output.mlm_head is not None or (
        output.pooler is not None and output.pooler.dense is not None
    )
    module = output.classifier if output.unembed is None else output.unembed
    if dense or module is None:
        raise UnsupportedModelError(
            f"The head {model.cfg.head!r} of this model does not read logits off the stream by "
            "one linear map, so they are no sum over its components. Use `interp.attribute`."
        )
    rows: Tensor = module.weight.detach()
    bias: Tensor = rows.new_zeros(len(rows)) if module.bias is None else module.bias.detach()
    return rows * getattr(module, "scale", 1.0), bias


def _places(run: Run, target: ResolvedTarget) -> list[int]:
    if target.positions is not None:
        return list(target.positions)
    n, mask = len(run.ids(run.last_stack)), run.mask(run.last_stack)
    real = list(range(n)) if mask is None else mask[0].nonzero()[:, 0].tolist()
    pooling = run.model.output.pooler.pooling
    return real if pooling == "mean" else [real[0] if pooling == "first" else real[-1]]
