"""Steps that would do harm: gradients that are not finite, or far larger than usual."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from interp.errors import TrainingError

_WINDOW = 128  # latest gradient norms that say what is usual
_LEAST = 32  # as many of them before anything counts as unusual
_SPIKES = 4  # in a row after which it is not the batches that are unusual, but the place
_IN_A_ROW = 20  # skipped steps after which the training is lost


class Guard:
    """Decides for each step whether its gradient may be used.

    Gradient norms vary by factors, so they are judged on a log scale: a step is a spike if its log
    norm lies `spike` standard deviations above the mean of the latest accepted ones (as OLMo's
    skip-step optimiser does, on a linear scale). One batch can be bad; when one after the other is
    a spike, the model has come to a steeper place, as where a circuit forms at once, and what is
    usual begins anew there.

    Args:
        spike: standard deviations; 0 accepts everything finite.
    """

    def __init__(self, spike: float):
        self.spike = spike
        # Log norms in the order they came, then NaN; and the number of steps skipped since.
        self.history = torch.full((_WINDOW + 1,), math.nan, dtype=torch.float64)
        self.history[-1] = 0

    def verdict(self, loss: float, norm: float) -> str | None:
        """Why a step must be skipped, or None.

        Args:
            loss, norm: of the step: its mean loss and the norm of its gradient.
        """
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm):
            return f"the gradient's norm is {norm}"
        known = self.history[:-1][~self.history[:-1].isnan()]
        if self.spike == 0 or len(known) < _LEAST or norm == 0 or self.history[-1] >= _SPIKES:
            return None
        spread = max(float(known.std()), 0.05)  # a run may be very even, and is still allowed 30 %
        above = (math.log(norm) - float(known.mean())) / spread
        if above > self.spike:
            return f"the gradient's norm is {norm:.3g}, {above:.1f} deviations above the usual"
        return None

    def note(self, norm: float, *, skipped: bool) -> None:
        """Remembers a step.

        Raises:
            TrainingError: too many steps in a row were skipped.
        """
        if skipped:
            self.history[-1] += 1
            if self.history[-1] >= _IN_A_ROW:
                raise TrainingError(
                    f"{_IN_A_ROW} steps in a row had no usable gradient: the training is lost. Go "
                    "back to an earlier checkpoint, with a lower learning_rate or more clipping."
                )
            return
        if self.history[-1] >= _SPIKES:
            self.history[:-1] = math.nan
        self.history[-1] = 0
        if norm > 0:
            self.history[:-1] = self.history[:-1].roll(1)
            self.history[0] = math.log(norm)

    @property
    def state(self) -> dict[str, Tensor]:
        """What must be kept to go on alike; whoever writes into it resumes."""
        return {"history": self.history}
